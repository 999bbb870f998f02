/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * cgroup/connect4, cgroup/connect6 (4.17) and cgroup/sock_release (5.9): TCP attempts that fail
 * before a SYN is made (no route, no free port, refused by another program). They never change
 * state, so they are noticed when the socket goes away, or connects again, with the wish still
 * open. Counted as an attempt then. The end of an attempt that no other program was run for is told
 * when its socket goes away, too.
 */
#ifndef MILLRACE_CONNECTS_H
#define MILLRACE_CONNECTS_H

static __always_inline void tcp_never_sent(void *checked, struct memory *m, u64 cookie)
{
	struct sock *sk = plain(checked);
	struct socket_event *e;

	count_seen(CLASS_TCP, DIRECTION_OUT);
	m->flags &= ~MEMORY_WANTS;
	e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count_lost(CLASS_TCP, DIRECTION_OUT, LOSS_RING_FULL);
		return;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->kind = EVENT_TCP_NEVER_SENT;
	e->side = SIDE_INITIATOR;
	e->protocol = PROTO_TCP;
	e->at = bpf_ktime_get_ns();
	e->started = m->started;
	e->cookie = cookie;
	e->netns = plain_netns(sk);
	e->cgroup = plain_cgroup(sk);
	e->remote_port = m->wanted_port;
	__builtin_memcpy(e->remote, m->wanted, 16);
	e->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6)
		BPF_CORE_READ_INTO(&e->local, sk, __sk_common.skc_v6_rcv_saddr);
	else
		put_ipv4(e->local, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
	give_owner(e, m);
	count_reported(CLASS_TCP, DIRECTION_OUT);
	hand_over(e);
}

/*
 * An attempt that was given up while no program could tell: its socket is closed and never heard
 * anything. Its error may be gone, if the process asked for it.
 */
static __always_inline void tcp_end_missed(void *checked, struct memory *m, u64 cookie)
{
	struct sock *sk = plain(checked);
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	struct socket_report *r;
	struct socket_event *e;

	if (BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_CLOSE || BPF_CORE_READ(tp, rcv_nxt))
		return;
	r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		if (!(m->flags & MEMORY_REPORTED))
			count_lost(CLASS_TCP, direction_of(m), LOSS_RING_FULL);
		m->flags = 0;
		return;
	}
	__builtin_memset(r, 0, sizeof(*r));
	e = &r->event;
	begin(e, EVENT_TCP_GAVE_UP, bpf_ktime_get_ns(), m);
	e->protocol = PROTO_TCP;
	e->error = BPF_CORE_READ(sk, sk_err) ?: BPF_CORE_READ(sk, sk_err_soft);
	if (m->flags & MEMORY_RESET)
		e->flags |= FLAG_RESET;
	e->cookie = cookie;
	e->netns = plain_netns(sk);
	e->cgroup = plain_cgroup(sk);
	e->local_port = bpf_ntohs(BPF_CORE_READ(tp, inet_conn.icsk_inet.inet_sport));
	e->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6) {
		BPF_CORE_READ_INTO(&e->local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&e->remote, sk, __sk_common.skc_v6_daddr);
	} else {
		put_ipv4(e->local, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
		put_ipv4(e->remote, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	}
	r->totals.packets_out = BPF_CORE_READ(tp, segs_out);
	speak(m);
	m->flags = 0;
	hand_over(r);
}

static __always_inline struct memory *wish(struct bpf_sock_addr *ctx)
{
	struct memory *m;

	if (ctx->protocol != PROTO_TCP || !ctx->sk)
		return NULL;
	m = remember(ctx->sk);
	if (!m)
		return NULL; /* without a memory SYN_SENT will count and lose it; a wish alone is no
				attempt yet */
	if (m->flags & MEMORY_WANTS)
		tcp_never_sent(ctx->sk, m, bpf_get_socket_cookie(ctx));
	m->flags = MEMORY_WANTS;
	m->started = bpf_ktime_get_ns();
	m->wanted_port = bpf_ntohs(ctx->user_port);
	take_owner(m);
	return m;
}

/* One function per family: reading user_ip6 in connect4 is refused. */
SEC("cgroup/connect4")
int connect_ipv4(struct bpf_sock_addr *ctx)
{
	struct memory *m = wish(ctx);

	if (m)
		put_ipv4(m->wanted, ctx->user_ip4);
	return 1;
}

SEC("cgroup/connect6")
int connect_ipv6(struct bpf_sock_addr *ctx)
{
	struct memory *m = wish(ctx);
	u32 *to;

	if (!m)
		return 1;
	to = (u32 *)m->wanted;
	to[0] = ctx->user_ip6[0];
	to[1] = ctx->user_ip6[1];
	to[2] = ctx->user_ip6[2];
	to[3] = ctx->user_ip6[3];
	return 1;
}

SEC("cgroup/sock_release")
int socket_released(struct bpf_sock *ctx)
{
	struct memory *m;

	if (ctx->protocol != PROTO_TCP)
		return 1;
	m = recall(ctx);
	if (m && m->flags & MEMORY_WANTS)
		tcp_never_sent(ctx, m, bpf_get_socket_cookie(ctx));
	else if (m && m->flags & MEMORY_COUNTED && m->side == SIDE_INITIATOR)
		tcp_end_missed(ctx, m, bpf_get_socket_cookie(ctx));
	return 1;
}

#endif
