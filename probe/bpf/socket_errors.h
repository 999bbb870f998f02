/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tp_btf/inet_sk_error_report, 5.15: an error came back to a datagram socket, as port unreachable
 * to a connected UDP socket. TCP tells its errors when it closes. A socket that is not connected
 * cannot say which packet failed.
 */
#ifndef MILLRACE_SOCKET_ERRORS_H
#define MILLRACE_SOCKET_ERRORS_H

static __always_inline bool is_connected_datagram(struct sock *sk)
{
	if (sk->sk_protocol == PROTO_TCP || sk->__sk_common.skc_state != TCP_ESTABLISHED)
		return false;
	return sk->__sk_common.skc_family == AF_INET || sk->__sk_common.skc_family == AF_INET6;
}

static __always_inline void tell_error(struct sock *sk)
{
	struct socket_event *e;

	e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count_lost_event(LOSS_RING_FULL);
		return;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->kind = EVENT_DATAGRAM_ERROR;
	e->at = bpf_ktime_get_ns();
	e->error = sk->sk_err ?: sk->sk_err_soft;
	describe(e, sk);
	hand_over(e);
}

SEC("tp_btf/inet_sk_error_report")
int BPF_PROG(socket_error, struct sock *sk)
{
	struct note *n;

	if (!is_connected_datagram(sk))
		return 0;
	n = first_turn(PLACE_SOCKET_ERROR);
	if (!n)
		return 0;
	tell_error(sk);
	leave_note(n, sk, 0);
	return 0;
}

SEC("tp_btf/inet_sk_error_report")
int BPF_PROG(socket_error_second, struct sock *sk)
{
	struct note *n;

	if (!is_connected_datagram(sk))
		return 0;
	n = next_turn(PLACE_SOCKET_ERROR, sk, 0);
	if (!n)
		return 0;
	tell_error(sk);
	leave_note(n, sk, 0);
	return 0;
}

#endif
