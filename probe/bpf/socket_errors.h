/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tp_btf/inet_sk_error_report, 5.15: an error came back to a datagram socket, as port unreachable
 * to a connected UDP socket. TCP tells its errors when it closes. A socket that is not connected
 * cannot say which packet failed.
 */
#ifndef MILLRACE_SOCKET_ERRORS_H
#define MILLRACE_SOCKET_ERRORS_H

SEC("tp_btf/inet_sk_error_report")
int BPF_PROG(socket_error, struct sock *sk)
{
	struct socket_event *e;

	if (sk->sk_protocol == PROTO_TCP || sk->__sk_common.skc_state != TCP_ESTABLISHED)
		return 0;
	if (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6)
		return 0;
	e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count_lost_event(LOSS_RING_FULL);
		return 0;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->kind = EVENT_DATAGRAM_ERROR;
	e->at = bpf_ktime_get_ns();
	e->error = sk->sk_err ?: sk->sk_err_soft;
	describe(e, sk);
	hand_over(e);
	return 0;
}

#endif
