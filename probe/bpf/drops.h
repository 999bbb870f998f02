/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tp_btf/kfree_skb with a reason, 5.17: packets that the kernel threw away, in every network
 * namespace.
 *
 * Closing sockets free many packets with harmless reasons, so only listed reasons are looked at:
 * those of a policy for every packet, the others for packets that begin something. Numbers differ
 * between kernels; user space sets the lists by name before the programs are loaded. The first drop
 * of a 5-tuple, reason and namespace is told and counted as seen, and so is one that begins another
 * attempt; further ones are only counted in the table.
 */
#ifndef MILLRACE_DROPS_H
#define MILLRACE_DROPS_H

const volatile u64 policy_reasons[4] = {};
const volatile u64 other_reasons[4] = {};
/* Bit n stands for the reasons of subsystem n, such as Open vSwitch. */
const volatile u32 policy_subsystems = 0;
const volatile u32 other_subsystems = 0;

/* As DESIGN has it for datagrams: 60 s without a packet end an attempt. */
#define ATTEMPT_IDLE_NS 60000000000ull

#define REASON_NONE 0
#define REASON_OTHER 1
#define REASON_POLICY 2

/* Constant indices: clang 14 makes of a computed one what the verifier refuses. */
static __always_inline int reason_kind(u32 reason)
{
	u64 policy, other;

	if (reason >= 65536) {
		u32 subsystem = reason >> 16;

		if (subsystem >= 32)
			return REASON_NONE;
		if (policy_subsystems >> subsystem & 1)
			return REASON_POLICY;
		return other_subsystems >> subsystem & 1 ? REASON_OTHER : REASON_NONE;
	}
	if (reason < 64) {
		policy = policy_reasons[0];
		other = other_reasons[0];
	} else if (reason < 128) {
		policy = policy_reasons[1];
		other = other_reasons[1];
	} else if (reason < 192) {
		policy = policy_reasons[2];
		other = other_reasons[2];
	} else if (reason < 256) {
		policy = policy_reasons[3];
		other = other_reasons[3];
	} else {
		return REASON_NONE;
	}
	if (policy >> (reason & 63) & 1)
		return REASON_POLICY;
	return other >> (reason & 63) & 1 ? REASON_OTHER : REASON_NONE;
}

/* Returns false if it is no packet of ours to tell of: not IP, a later fragment, unreadable. */
static __always_inline bool read_network(struct packet *p, const unsigned char *ip, bool v4)
{
	u8 h[IPV6_HEADER];

	if (bpf_probe_read_kernel(h, v4 ? IPV4_HEADER : IPV6_HEADER, ip))
		return false;
	if (v4) {
		if ((h[6] & 0x1f) || h[7])
			return false;
		p->protocol = h[9];
		p->transport = (h[0] & 15) * 4;
		put_ipv4(p->source, *(u32 *)(h + 12));
		put_ipv4(p->dest, *(u32 *)(h + 16));
		return true;
	}
	p->protocol = h[6];
	p->transport = IPV6_HEADER;
	__builtin_memcpy(p->source, h + 8, 16);
	__builtin_memcpy(p->dest, h + 24, 16);
#pragma unroll
	for (int i = 0; i < IPV6_EXTENSIONS; i++) {
		u8 x[4];

		if (!is_extension(p->protocol))
			break;
		if (bpf_probe_read_kernel(x, sizeof(x), ip + p->transport))
			return false;
		if (p->protocol == PROTO_FRAGMENT && (x[2] || x[3] & 0xf8))
			return false;
		p->transport += extension_length(p->protocol, x[1]);
		p->protocol = x[0];
	}
	return true;
}

static __always_inline bool read_transport(struct packet *p, const unsigned char *ip)
{
	u8 h[14] = {};

	if (p->protocol == PROTO_TCP) {
		if (bpf_probe_read_kernel(h, 14, ip + p->transport))
			return false;
		p->tcp_flags = h[13];
		p->sequence = *(u32 *)(h + 4);
	} else if (has_ports(p->protocol) || is_icmp(p->protocol)) {
		if (bpf_probe_read_kernel(h, 4, ip + p->transport))
			return false;
	}
	if (has_ports(p->protocol)) {
		p->source_port = h[0] << 8 | h[1];
		p->dest_port = h[2] << 8 | h[3];
	} else if (is_icmp(p->protocol)) {
		p->icmp_type = h[0];
		p->icmp_code = h[1];
	}
	return true;
}

static __always_inline u32 netns_of_packet(struct sk_buff *skb)
{
	struct net_device *dev = skb->dev;
	struct sock *sk = skb->sk;

	if (dev)
		return BPF_CORE_READ(dev, nd_net.net, ns.inum);
	/* without a device: dropped on its way out, before one was chosen */
	return sk ? BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum) : 0;
}

/*
 * Fills in where the packet was sent to before address translation, if it was translated and goes
 * that way.
 */
static __always_inline void read_original(struct drop_event *e, struct sk_buff *skb, bool v4)
{
	u32 address[4] = {};
	struct nf_conn *ct;
	u64 nfct;
	u16 port;

	if (!bpf_core_type_exists(struct nf_conn) ||
	    !bpf_core_field_exists(((struct sk_buff *)0)->_nfct))
		return;
	nfct = skb->_nfct;
	ct = (struct nf_conn *)(nfct & ~7ull);
	if (!ct || (nfct & 7) >= 3) /* IP_CT_IS_REPLY */
		return;
	if (BPF_CORE_READ_INTO(&address, ct, tuplehash[0].tuple.dst.u3.all) ||
	    BPF_CORE_READ_INTO(&port, ct, tuplehash[0].tuple.dst.u.all))
		return;
	if (v4)
		put_ipv4(e->original, address[0]);
	else
		__builtin_memcpy(e->original, address, 16);
	e->original_port = has_ports(e->protocol) ? bpf_ntohs(port) : 0;
	if (e->original_port == e->dest_port && same_address(e->original, e->dest)) {
		__builtin_memset(e->original, 0, sizeof(e->original));
		e->original_port = 0;
	}
}

/*
 * Says whether a drop like one already told begins another attempt: a SYN with another sequence
 * number, or a datagram after the time without one that ends an attempt. Of CPUs that meet here one
 * gets to tell.
 */
static __always_inline bool begins_anew(struct drop_value *known, const struct packet *p,
					bool first, u64 now)
{
	u64 last = known->last;
	u32 sequence;

	__sync_fetch_and_add(&known->count, 1);
	if (p->protocol != PROTO_TCP && now - last > ATTEMPT_IDLE_NS)
		return __sync_val_compare_and_swap(&known->last, last, now) == last;
	known->last = now;
	if (p->protocol != PROTO_TCP || !first)
		return false;
	sequence = known->sequence;
	if (sequence == p->sequence)
		return false;
	return __sync_val_compare_and_swap(&known->sequence, sequence, p->sequence) == sequence;
}

/* Done twice for one packet it counts a drop like one already told, which tells nothing. */
static __always_inline void tell_drop(struct sk_buff *skb, u32 reason, int kind)
{
	struct drop_value fresh = {}, *known;
	struct drop_key key = {};
	const unsigned char *ip;
	struct packet p = {};
	struct drop_event *e;
	u32 network, class;
	bool v4, first;
	int failed;

	v4 = skb->protocol == bpf_htons(ETH_P_IP);
	network = skb->network_header;
	if ((!v4 && skb->protocol != bpf_htons(ETH_P_IPV6)) || network == 0xffff)
		return;
	ip = skb->head + network;
	if (!read_network(&p, ip, v4) || !read_transport(&p, ip))
		return;
	if (is_icmp(p.protocol) && !icmp_asks(p.protocol, p.icmp_type) &&
	    !icmp_answers(p.protocol, p.icmp_type))
		return;
	if (p.protocol == PROTO_IGMP)
		return;
	first = p.protocol != PROTO_TCP || (p.tcp_flags & 0x12) == 0x02; /* SYN without ACK */
	if (kind == REASON_OTHER && !first)
		return;

	key.netns = netns_of_packet(skb);
	key.reason = reason;
	key.protocol = p.protocol;
	key.source_port = p.source_port;
	key.dest_port = p.dest_port;
	__builtin_memcpy(key.source, p.source, 16);
	__builtin_memcpy(key.dest, p.dest, 16);
	fresh.count = 1;
	fresh.last = bpf_ktime_get_ns();
	fresh.sequence = first ? p.sequence : 0;
	class = class_of(p.protocol);
	known = bpf_map_lookup_elem(&drops, &key);
	failed = 0;
	if (known) {
		if (!begins_anew(known, &p, first, fresh.last))
			return;
	} else {
		failed = bpf_map_update_elem(&drops, &key, &fresh, BPF_NOEXIST);
		if (failed == -EEXIST) /* another CPU was first and tells */
			return;
	}
	count_seen(class, DIRECTION_DROP);
	if (failed) {
		count_lost(class, DIRECTION_DROP, LOSS_DROP_TABLE_FULL);
		return;
	}
	e = bpf_ringbuf_reserve(&drop_ring, sizeof(*e), 0);
	if (!e) {
		count_lost(class, DIRECTION_DROP, LOSS_DROP_RING_FULL);
		return;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->kind = EVENT_DROP;
	e->protocol = p.protocol;
	e->flags = first ? FLAG_FIRST : 0;
	e->icmp_type = p.icmp_type;
	e->icmp_code = p.icmp_code;
	e->at = fresh.last;
	e->netns = key.netns;
	e->reason = reason;
	e->source_port = p.source_port;
	e->dest_port = p.dest_port;
	__builtin_memcpy(e->source, p.source, 16);
	__builtin_memcpy(e->dest, p.dest, 16);
	read_original(e, skb, v4);
	count_reported(class, DIRECTION_DROP);
	hand_over(e);
}

static __always_inline void tell_drop_again(struct sk_buff *skb, u32 reason)
{
	int kind = reason_kind(reason);
	struct note *n;

	if (kind == REASON_NONE)
		return;
	n = next_turn(PLACE_DROP, skb, reason);
	if (!n)
		return;
	tell_drop(skb, reason, kind);
	leave_note(n, skb, reason);
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(packet_dropped, struct sk_buff *skb, void *where, u32 reason)
{
	int kind = reason_kind(reason);
	struct note *n;

	if (kind == REASON_NONE)
		return 0;
	n = first_turn(PLACE_DROP);
	if (!n)
		return 0;
	tell_drop(skb, reason, kind);
	leave_note(n, skb, reason);
	return 0;
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(packet_dropped_second, struct sk_buff *skb, void *where, u32 reason)
{
	tell_drop_again(skb, reason);
	return 0;
}

#endif
