/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tp_btf/icmp_send, 6.10: a SYN over IPv4 that this kernel answers with "destination unreachable",
 * in any of its network namespaces. Notes the error for the end of the attempt.
 *
 * An answer that comes while connect still holds the socket leaves only sk_err_soft, and a process
 * that asks for the error takes it away: at the end nothing tells of it any more. An answer as fast
 * as that comes from this kernel itself. IPv6 needs none of this: its errors wait for the socket.
 */
#ifndef MILLRACE_REJECTIONS_H
#define MILLRACE_REJECTIONS_H

#define ICMP_UNREACHABLE 3
#define ICMP_PORT 3
#define ICMP_TOO_BIG 4
#define ICMP_ROUTE_FAILED 5
#define TCP_HEADER_TO_FLAGS 14

struct rejection {
	u64 at;
	u32 error;
	u32 padding;
};

/*
 * By the sequence number of the SYN, which no address translation changes. The one table that
 * forgets in silence: what it forgets is read back as an attempt of unknown outcome, and counted.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct rejection);
} rejections SEC(".maps");

/* Done twice it is done once: each program does it. */
static __always_inline void note_rejection(const struct sk_buff *skb, int type, int code)
{
	struct rejection r = {};
	const unsigned char *ip;
	u8 h[IPV4_HEADER], tcp[TCP_HEADER_TO_FLAGS];
	u32 sequence;

	if (type != ICMP_UNREACHABLE || code == ICMP_TOO_BIG || code == ICMP_ROUTE_FAILED)
		return;
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return;
	ip = skb->head + skb->network_header;
	if (bpf_probe_read_kernel(h, sizeof(h), ip) || h[9] != PROTO_TCP)
		return;
	if (bpf_probe_read_kernel(tcp, sizeof(tcp), ip + (h[0] & 15) * 4))
		return;
	if ((tcp[13] & 0x12) != 0x02) /* SYN without ACK */
		return;
	__builtin_memcpy(&sequence, tcp + 4, sizeof(sequence));
	r.at = bpf_ktime_get_ns();
	r.error = code == ICMP_PORT ? ECONNREFUSED : EHOSTUNREACH;
	bpf_map_update_elem(&rejections, &sequence, &r, BPF_ANY);
}

SEC("tp_btf/icmp_send")
int BPF_PROG(icmp_sent, const struct sk_buff *skb, int type, int code)
{
	note_rejection(skb, type, code);
	return 0;
}

SEC("tp_btf/icmp_send")
int BPF_PROG(icmp_sent_second, const struct sk_buff *skb, int type, int code)
{
	note_rejection(skb, type, code);
	return 0;
}

/* Returns the error that a SYN of this socket was answered with, or 0. It must still be in
 * SYN_SENT. */
static __always_inline u32 rejected_with(const struct tcp_sock *tp, const struct memory *m)
{
	u32 sequence = bpf_htonl(tp->snd_una);
	const struct rejection *r = bpf_map_lookup_elem(&rejections, &sequence);

	return r && r->at >= m->started ? r->error : 0;
}

#endif
