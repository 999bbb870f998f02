/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP, in every network namespace, without any work per packet.
 *
 *   tp_btf/inet_sock_set_state  4.16, as tp_btf with socket storage 5.11  established, closed, gave
 * up, never sent tp_btf/tcp_retransmit_skb                                            stalled: the
 * first SYN sent again tp_btf/tcp_receive_reset                                             notes a
 * reset in the socket's memory
 *
 * Accounting: an attempt is counted at SYN_SENT (out), or at ESTABLISHED for a socket that a
 * listener accepted (in), before storage or ring is asked. The first event that reaches the ring
 * reports it. An event that finds the ring full leaves the attempt to a later event of the same
 * socket; the end is the last, and then the attempt is lost, once.
 */
#ifndef MILLRACE_TCP_STATE_H
#define MILLRACE_TCP_STATE_H

static __always_inline u32 direction_of(const struct memory *m)
{
	return m->side == SIDE_RECEIVER ? DIRECTION_IN : DIRECTION_OUT;
}

static __always_inline void describe_tcp(struct socket_event *e, struct sock *sk,
					 struct tcp_sock *tp)
{
	describe(e, sk);
	/* skc_num is 0 again when the socket goes to CLOSE */
	if (!e->local_port && tp)
		e->local_port = bpf_ntohs(tp->inet_conn.icsk_inet.inet_sport);
}

/*
 * Payload only. bytes_acked counts the SYN of the side that connected and a FIN that was
 * acknowledged, bytes_received a FIN that was taken in. A FIN takes a sequence number, so ours was
 * acknowledged if we are past sending it and everything written is.
 */
static __always_inline void total(struct tcp_totals *t, struct sock *sk, struct tcp_sock *tp,
				  int state, u8 side)
{
	bool sent_fin = state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_CLOSING ||
			state == TCP_LAST_ACK;
	u64 out = tp->bytes_acked, in = tp->bytes_received;
	u64 extra = (side == SIDE_INITIATOR) + (sent_fin && tp->snd_una == tp->write_seq);
	u64 fin = sk->__sk_common.skc_flags >> SOCKET_DONE & 1;
	u32 min_rtt = tp->rtt_min.s[0].v;

	t->bytes_out = out > extra ? out - extra : 0;
	t->bytes_in = in > fin ? in - fin : 0;
	/*
	 * a listener answers the SYN before this socket is made: segs_in starts at 1, segs_out at 0
	 */
	t->packets_out = tp->segs_out + (side == SIDE_RECEIVER);
	t->packets_in = tp->segs_in;
	t->smooth_rtt_us = tp->srtt_us >> 3;
	t->min_rtt_us = min_rtt == ~0U ? 0 : min_rtt;
	t->retransmissions = tp->total_retrans;
	t->lost = tp->lost;
	t->unrecovered = tp->inet_conn.icsk_retransmits;
	t->mss = tp->mss_cache;
	t->congestion_window = tp->snd_cwnd;
	t->padding = 0;
}

static __always_inline void begin(struct socket_event *e, u8 kind, u64 now, const struct memory *m)
{
	e->kind = kind;
	e->at = now;
	e->started = m->started ?: now;
	e->side = m->side;
	e->error = 0;
	e->icmp_type = 0;
	e->icmp_code = 0;
	e->flags = 0;
	if (m->flags & (MEMORY_REPORTED | MEMORY_PREEXISTING))
		e->flags |= FLAG_REPORTED_BEFORE;
	if (m->flags & MEMORY_PREEXISTING)
		e->flags |= FLAG_PREEXISTING;
	give_owner(e, m);
}

/* An event of this socket reached the ring. */
static __always_inline void speak(struct memory *m)
{
	if ((m->flags & (MEMORY_COUNTED | MEMORY_REPORTED)) != MEMORY_COUNTED)
		return;
	m->flags |= MEMORY_REPORTED;
	count_reported(CLASS_TCP, direction_of(m));
}

static __always_inline void adopt(struct memory *m, u8 side, u64 started)
{
	m->side = side;
	m->started = started;
	m->flags = MEMORY_COUNTED;
}

static __always_inline void tcp_connecting(struct sock *sk, bool again)
{
	struct memory *m;

	/* A socket that connects has ended whatever it did before. */
	if (again) {
		m = recall(sk);
		if (m && m->flags & MEMORY_COUNTED)
			return;
	}
	count_seen(CLASS_TCP, DIRECTION_OUT);
	m = remember(sk);
	if (!m) {
		count_lost(CLASS_TCP, DIRECTION_OUT, LOSS_NO_OWNER);
		return;
	}
	if (!(m->flags & MEMORY_WANTS)) /* else the connect hook took it a moment ago */
		take_owner(m);
	adopt(m, SIDE_INITIATOR, bpf_ktime_get_ns());
}

static __always_inline void tcp_listening(struct sock *sk)
{
	struct memory *m = remember(sk);

	if (!m)
		return; /* accepted sockets then make their own memory, without an owner */
	take_owner(m);
	m->started = 0;
	m->side = SIDE_RECEIVER;
	m->flags = MEMORY_LISTENER;
}

static __always_inline void tcp_established(struct sock *sk, int was)
{
	struct memory *m = recall(sk);
	struct socket_event *e;
	u64 now;

	/* Connecting without a memory: older than the probe, or counted lost at SYN_SENT. */
	if (!m && was != TCP_SYN_RECV)
		return;
	now = bpf_ktime_get_ns();
	if (!m || !(m->flags & (MEMORY_COUNTED | MEMORY_PREEXISTING))) {
		if (was == TCP_SYN_RECV) {
			count_seen(CLASS_TCP, DIRECTION_IN);
			if (!m)
				m = remember(sk);
			if (!m) {
				count_lost(CLASS_TCP, DIRECTION_IN, LOSS_NO_OWNER);
				return;
			}
			adopt(m, SIDE_RECEIVER, now);
		} else { /* the kernel skipped our run at SYN_SENT */
			count_seen(CLASS_TCP, DIRECTION_OUT);
			adopt(m, SIDE_INITIATOR, m->started);
		}
	}
	e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count_lost_event(LOSS_RING_FULL);
		return;
	}
	begin(e, EVENT_TCP_ESTABLISHED, now, m);
	describe(e, sk);
	speak(m);
	hand_over(e);
}

/*
 * The error of an attempt that was given up. Two cases have none in sk_err: an ICMP error that came
 * while the process held the socket is in sk_err_soft; and a SYN that a packet filter of this host
 * rejected makes connect itself fail with the one error that tcp_connect passes on (the socket is
 * then not yet connecting, nor shut down by a close).
 */
static __always_inline u16 reason_given_up(struct sock *sk)
{
	int error = sk->sk_err ?: sk->sk_err_soft;

	struct socket *socket = sk->sk_socket;

	if (!error && !sk->sk_shutdown && socket && socket->state == SS_UNCONNECTED)
		error = ECONNREFUSED;
	return error;
}

static __always_inline void tcp_ended(struct sock *sk, int was)
{
	struct memory *m = recall(sk), unknown = {};
	struct socket_report *r;
	struct tcp_sock *tp;
	bool gave_up;

	if (!m) {
		if (was == TCP_SYN_SENT || was == TCP_SYN_RECV)
			return;
		/* remembered, so that its end is told once */
		m = remember(sk) ?: &unknown;
		m->flags = MEMORY_PREEXISTING;
	} else if (!(m->flags & (MEMORY_COUNTED | MEMORY_PREEXISTING))) {
		if (was == TCP_SYN_RECV) /* never established, so never counted */
			return;
		/* The kernel skipped our run at SYN_SENT or ESTABLISHED. */
		if (m->flags & MEMORY_LISTENER) {
			count_seen(CLASS_TCP, DIRECTION_IN);
			adopt(m, SIDE_RECEIVER, 0);
		} else if (m->flags & MEMORY_WANTS) {
			count_seen(CLASS_TCP, DIRECTION_OUT);
			adopt(m, SIDE_INITIATOR, m->started);
		} else {
			return;
		}
	}
	tp = bpf_skc_to_tcp_sock(sk);
	r = tp ? bpf_ringbuf_reserve(&ring, sizeof(*r), 0) : NULL;
	if (!r) {
		if ((m->flags & (MEMORY_COUNTED | MEMORY_REPORTED)) == MEMORY_COUNTED)
			count_lost(CLASS_TCP, direction_of(m), LOSS_RING_FULL);
		else
			count_lost_event(LOSS_RING_FULL);
		m->flags = 0;
		return;
	}
	gave_up = was == TCP_SYN_SENT || was == TCP_SYN_RECV;
	begin(&r->event, EVENT_TCP_CLOSED, bpf_ktime_get_ns(), m);
	describe_tcp(&r->event, sk, tp);
	total(&r->totals, sk, tp, was, m->side);
	if (m->flags & MEMORY_RESET)
		r->event.flags |= FLAG_RESET;
	if (gave_up) {
		r->event.kind = tp->segs_out ? EVENT_TCP_GAVE_UP : EVENT_TCP_NEVER_SENT;
		r->event.error = reason_given_up(sk);
		if (!r->event.error && was == TCP_SYN_SENT)
			r->event.error = rejected_with(tp, m);
	} else {
		r->event.error = sk->sk_err;
		if (sk->sk_err || m->flags & MEMORY_RESET ||
		    (was != TCP_FIN_WAIT2 && was != TCP_LAST_ACK && was != TCP_CLOSING))
			r->event.flags |= FLAG_ABORTED;
	}
	speak(m);
	m->flags = 0;
	hand_over(r);
}

/* Half of all changes are steps of closing: leave before anything is read. */
static __always_inline bool is_told(int was, int now)
{
	return now == TCP_ESTABLISHED || now == TCP_SYN_SENT || now == TCP_CLOSE ||
	       now == TCP_LISTEN || (now == TCP_FIN_WAIT1 && was == TCP_SYN_RECV);
}

static __always_inline void tcp_changed(struct sock *sk, int was, int now, bool again)
{
	if (sk->sk_protocol != PROTO_TCP)
		return;
	if (now == TCP_SYN_SENT)
		tcp_connecting(sk, again);
	else if (now == TCP_LISTEN)
		tcp_listening(sk);
	else if (now != TCP_CLOSE)
		tcp_established(sk, was);
	else if (was != TCP_LISTEN && was != TCP_CLOSE)
		tcp_ended(sk, was);
}

/* The ports tell the lives of one socket apart. */
static __always_inline u64 tcp_note(struct sock *sk, int was, int now)
{
	u64 ports = (u64)sk->__sk_common.skc_num << 16 | sk->__sk_common.skc_dport;

	return ports << 16 | was << 8 | now;
}

static __always_inline void tcp_changed_again(struct sock *sk, int was, int now)
{
	u64 detail = tcp_note(sk, was, now);
	struct note *n;

	if (!is_told(was, now))
		return;
	n = next_turn(PLACE_TCP_STATE, sk, detail);
	if (!n)
		return;
	tcp_changed(sk, was, now, true);
	leave_note(n, sk, detail);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state, struct sock *sk, int was, int now)
{
	struct note *n;

	if (!is_told(was, now))
		return 0;
	n = first_turn(PLACE_TCP_STATE);
	if (!n)
		return 0;
	tcp_changed(sk, was, now, false);
	leave_note(n, sk, tcp_note(sk, was, now));
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state_second, struct sock *sk, int was, int now)
{
	tcp_changed_again(sk, was, now);
	return 0;
}

/* What it does is done once a socket, so that each program may do it. */
static __always_inline void tcp_sent_again(struct sock *sk)
{
	struct socket_event *e;
	struct memory *m;

	if (sk->__sk_common.skc_state != TCP_SYN_SENT)
		return;
	m = recall(sk);
	if (!m || m->flags & MEMORY_STALLED || !(m->flags & (MEMORY_COUNTED | MEMORY_PREEXISTING)))
		return;
	e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count_lost_event(LOSS_RING_FULL);
		return;
	}
	begin(e, EVENT_TCP_STALLED, bpf_ktime_get_ns(), m);
	describe(e, sk);
	m->flags |= MEMORY_STALLED;
	speak(m);
	hand_over(e);
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(tcp_retransmit, struct sock *sk)
{
	tcp_sent_again(sk);
	return 0;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(tcp_retransmit_second, struct sock *sk)
{
	tcp_sent_again(sk);
	return 0;
}

static __always_inline void tcp_was_reset(struct sock *sk)
{
	struct memory *m = recall(sk);

	if (m)
		m->flags |= MEMORY_RESET;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(tcp_reset, struct sock *sk)
{
	tcp_was_reset(sk);
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(tcp_reset_second, struct sock *sk)
{
	tcp_was_reset(sk);
	return 0;
}

/* The price of the hook itself, for benchmarks; attached on demand. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(empty, struct sock *sk, int was, int now)
{
	return 0;
}

#endif
