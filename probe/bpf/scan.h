/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * iter/task_file (5.8, with bpf_sock_from_file 5.11): the sockets of all processes of the reader's
 * PID namespace, in all network namespaces. Run at start, after the hooks, it marks the sockets
 * older than the probe and stores their owners; run again it reads the totals of connections that
 * stay open. One socket comes once per open descriptor.
 */
#ifndef MILLRACE_SCAN_H
#define MILLRACE_SCAN_H

/*
 * Who began a connection older than the probe: connect makes a bind bucket with fastreuse -1 where
 * it chose the port, bind and so every listener one with 0 or more.
 */
static __always_inline u8 side_of_old(struct sock *sk)
{
	struct inet_bind_bucket *bucket =
		BPF_CORE_READ((struct inet_connection_sock *)sk, icsk_bind_hash);

	if (!bucket)
		return SIDE_UNKNOWN;
	return BPF_CORE_READ(bucket, fastreuse) == -1 ? SIDE_INITIATOR : SIDE_UNKNOWN;
}

static __always_inline void mark_old(struct sock *sk, const struct task_struct *task, int state)
{
	struct memory *m = remember(sk);

	if (!m || m->flags || m->pid)
		return;
	m->pid = task->tgid;
	bpf_probe_read_kernel_str(m->command, sizeof(m->command), task->comm);
	if (sk->sk_protocol != PROTO_TCP) {
		m->netns = sk->__sk_common.skc_net.net->ns.inum;
		m->flags = MEMORY_PREEXISTING;
		if (BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCKET_BOUND_PORT)
			m->flags |= MEMORY_BOUND;
	} else if (state == TCP_LISTEN) {
		m->side = SIDE_RECEIVER;
		m->flags = MEMORY_LISTENER;
	} else {
		m->side = state == TCP_SYN_SENT ? SIDE_INITIATOR : side_of_old(sk);
		m->flags = MEMORY_PREEXISTING;
	}
}

SEC("iter/task_file")
int scan(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket_report r = {};
	struct socket *socket;
	struct tcp_sock *tp;
	struct memory *m;
	struct sock *sk;
	int family, state;

	if (!file || !task)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk)
		return 0;
	family = sk->__sk_common.skc_family;
	state = sk->__sk_common.skc_state;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	if (sk->sk_protocol == PROTO_TCP && state == TCP_CLOSE)
		return 0; /* not connected: nothing to tell, and connect will make it new */
	if (sk->sk_protocol > 255)
		return 0; /* MPTCP: its subflows are TCP sockets and speak for it */
	mark_old(sk, task, state);

	r.event.kind = EVENT_SCANNED;
	r.event.at = bpf_ktime_get_ns();
	describe(&r.event, sk);
	m = recall(sk);
	if (m) {
		r.event.side = m->side;
		r.event.started = m->started;
		if (m->flags & MEMORY_PREEXISTING)
			r.event.flags |= FLAG_PREEXISTING;
		give_owner(&r.event, m);
	}
	if (!(r.event.flags & FLAG_OWNER)) {
		r.event.pid = task->tgid;
		bpf_probe_read_kernel_str(r.event.command, sizeof(r.event.command), task->comm);
		r.event.flags |= FLAG_OWNER;
	}
	if (sk->sk_protocol == PROTO_TCP) {
		if (state == TCP_LISTEN)
			r.event.flags |= FLAG_LISTENING;
		tp = bpf_skc_to_tcp_sock(sk);
		if (tp && state != TCP_LISTEN)
			total(&r.totals, sk, tp, state, r.event.side);
	} else if (r.event.local_port && state != TCP_ESTABLISHED) {
		r.event.flags |= FLAG_LISTENING;
	}
	bpf_seq_write(ctx->meta->seq, &r, sizeof(r));
	return 0;
}

#endif
