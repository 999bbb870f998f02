/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Everything but TCP, where a packet meets a socket: cgroup_skb/ingress and egress (4.10, with
 * socket storage 5.4) at the root of the cgroup2 tree, for all network namespaces;
 * cgroup/sock_create (4.10) for the owner.
 *
 * An attempt is a 5-tuple, or an address pair where there are no ports. Its first packet emits an
 * event and counts it, the direction is that packet's; all packets are counted in the table
 * `flows`, payload only.
 *
 * ICMP: a question that leaves a socket begins an attempt. The receiver's kernel answers without a
 * socket for the question, so its answer, which leaves by the kernel's own socket, tells of the
 * attempt received; as it carries what the question carried, it counts both ways. An answer that
 * comes in adds to the attempt it answers and never begins one: raw sockets get copies of answers
 * to others. ICMP errors, neighbour discovery, IGMP and MLD are no attempts. Multicast and
 * broadcast are: user space may leave them out.
 */
#ifndef MILLRACE_DATAGRAMS_H
#define MILLRACE_DATAGRAMS_H

/* Reads addresses, protocol and ports. False: nothing to count. */
static __always_inline bool read_datagram(struct packet *p, struct __sk_buff *skb, bool v4)
{
	u8 h[IPV6_HEADER];

	if (v4) {
		if (bpf_skb_load_bytes(skb, 0, h, IPV4_HEADER) || (h[6] & 0x1f) || h[7])
			return false;
		p->protocol = h[9];
		p->transport = (h[0] & 15) * 4;
		put_ipv4(p->source, *(u32 *)(h + 12));
		put_ipv4(p->dest, *(u32 *)(h + 16));
	} else {
		if (bpf_skb_load_bytes(skb, 0, h, IPV6_HEADER))
			return false;
		p->protocol = h[6];
		p->transport = IPV6_HEADER;
		__builtin_memcpy(p->source, h + 8, 16);
		__builtin_memcpy(p->dest, h + 24, 16);
#pragma unroll
		for (int i = 0; i < IPV6_EXTENSIONS; i++) {
			u8 x[4];

			if (!is_extension(p->protocol))
				break;
			if (bpf_skb_load_bytes(skb, p->transport, x, sizeof(x)))
				return false;
			if (p->protocol == PROTO_FRAGMENT && (x[2] || x[3] & 0xf8))
				return false;
			p->transport += extension_length(p->protocol, x[1]);
			p->protocol = x[0];
		}
	}
	if (p->protocol == PROTO_TCP || p->protocol == PROTO_IGMP)
		return false;
	if (has_ports(p->protocol) || is_icmp(p->protocol)) {
		u8 x[4];

		if (bpf_skb_load_bytes(skb, p->transport, x, sizeof(x)))
			return false;
		if (is_icmp(p->protocol)) {
			p->icmp_type = x[0];
			p->icmp_code = x[1];
		} else {
			p->source_port = x[0] << 8 | x[1];
			p->dest_port = x[2] << 8 | x[3];
		}
	}
	return true;
}

static __always_inline bool bound_before(const struct memory *m)
{
	return m && (m->flags & MEMORY_PREEXISTING) && (m->flags & MEMORY_BOUND);
}

static __always_inline u32 header_length(u8 protocol)
{
	if (protocol == PROTO_SCTP)
		return 12;
	return has_ports(protocol) || is_icmp(protocol) ? 8 : 0;
}

static __always_inline u32 flow_hash(const struct flow_key *key)
{
	const u32 *words = (const u32 *)key;
	u32 hash = 1;

#pragma unroll
	for (int i = 0; i < (int)(sizeof(*key) / 4); i++)
		hash = hash * 31 + words[i];
	return hash;
}

static __always_inline void add(struct flow_value *v, u64 out, u64 in, u64 packets_out,
				u64 packets_in, u64 now)
{
	if (packets_out) {
		__sync_fetch_and_add(&v->bytes_out, out);
		__sync_fetch_and_add(&v->packets_out, packets_out);
	}
	if (packets_in) {
		__sync_fetch_and_add(&v->bytes_in, in);
		__sync_fetch_and_add(&v->packets_in, packets_in);
	}
	v->last = now;
}

static __always_inline void tell(struct flow_key *key, const struct packet *p, struct memory *m,
				 u8 side, u64 now, u64 cookie)
{
	u32 class = class_of(p->protocol);
	u32 direction = side == SIDE_INITIATOR ? DIRECTION_OUT : DIRECTION_IN;
	struct flow_value *v;
	struct socket_event *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

	if (!e) {
		count_lost(class, direction, LOSS_RING_FULL);
		return;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->kind = EVENT_DATAGRAM;
	e->side = side;
	e->protocol = p->protocol;
	e->icmp_type = p->icmp_type;
	e->icmp_code = p->icmp_code;
	e->at = now;
	e->started = now;
	e->cookie = cookie;
	e->cgroup = key->cgroup;
	e->netns = key->netns;
	e->local_port = key->local_port;
	e->remote_port = key->remote_port;
	__builtin_memcpy(e->local, key->local, 16);
	__builtin_memcpy(e->remote, key->remote, 16);
	if (m) {
		give_owner(e, m);
		if (bound_before(m))
			e->flags |= FLAG_BOUND_BEFORE;
	}
	count_reported(class, direction);
	hand_over(e);
	v = bpf_map_lookup_elem(&flows, key);
	if (v)
		v->told = 1;
}

static __always_inline int datagram(struct __sk_buff *skb, bool out)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	u64 packets, bytes, now, cookie, sent = 0, received = 0;
	u64 packets_sent = 0, packets_received = 0;
	struct flow_value fresh = {}, *known;
	struct flow_key key = {};
	struct packet p = {};
	struct bpf_sock *sk;
	struct memory *m;
	int failed;
	u32 class, direction, headers;
	u8 side, *ip = data;
	bool v4;

	/* TCP leaves after the fewest steps: this runs for each of its packets. */
	if (data + IPV4_HEADER > end)
		return 1;
	v4 = ip[0] >> 4 == 4;
	if (ip[v4 ? 9 : 6] == PROTO_TCP)
		return 1;
	sk = skb->sk;
	if (!sk)
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (!sk || !read_datagram(&p, skb, v4))
		return 1;

	side = out ? SIDE_INITIATOR : SIDE_RECEIVER;
	cookie = 0;
	if (is_icmp(p.protocol)) {
		bool asks = icmp_asks(p.protocol, p.icmp_type);

		if (!asks && !icmp_answers(p.protocol, p.icmp_type))
			return 1;
		if (asks && !out) /* a raw socket's copy; the kernel's answer tells */
			return 1;
		side = asks == out ? SIDE_INITIATOR : SIDE_RECEIVER;
	} else if (!out && sk->type == SOCKET_TYPE_RAW && has_ports(p.protocol)) {
		return 1; /* a raw socket's copy */
	}

	m = recall(sk);
	/* in mid-course: a bound port is the receiver's, whoever we happen to hear first */
	if (side == SIDE_INITIATOR && has_ports(p.protocol) && bound_before(m))
		side = SIDE_RECEIVER;
	key.cgroup = bpf_sk_cgroup_id(sk);
	key.netns = m && m->netns ? m->netns : plain_netns(plain(sk));
	key.protocol = p.protocol;
	key.local_port = out ? p.source_port : p.dest_port;
	key.remote_port = out ? p.dest_port : p.source_port;
	__builtin_memcpy(key.local, out ? p.source : p.dest, 16);
	__builtin_memcpy(key.remote, out ? p.dest : p.source, 16);

	packets = skb->gso_segs ?: 1;
	headers = p.transport + header_length(p.protocol);
	bytes = skb->len > headers ? skb->len - headers : 0;
	if (out || (is_icmp(p.protocol) && side == SIDE_RECEIVER)) {
		sent = bytes;
		packets_sent = packets;
	}
	if (!out || (is_icmp(p.protocol) && side == SIDE_RECEIVER)) {
		received = bytes;
		packets_received = packets;
	}
	now = bpf_ktime_get_ns();
	known = bpf_map_lookup_elem(&flows, &key);
	if (known) {
		add(known, sent, received, packets_sent, packets_received, now);
		return 1;
	}
	if (!out && is_icmp(p.protocol))
		return 1;
	if (m && m->lost_flow && m->lost_flow == flow_hash(&key))
		return 1; /* counted lost with its first packet */

	class = class_of(p.protocol);
	direction = side == SIDE_INITIATOR ? DIRECTION_OUT : DIRECTION_IN;
	if (!is_icmp(p.protocol) ||
	    side == SIDE_INITIATOR) /* the kernel's ICMP socket serves all */
		cookie = bpf_get_socket_cookie(skb);
	fresh.bytes_out = sent;
	fresh.bytes_in = received;
	fresh.packets_out = packets_sent;
	fresh.packets_in = packets_received;
	fresh.last = now;
	fresh.cookie = cookie;
	failed = bpf_map_update_elem(&flows, &key, &fresh, BPF_NOEXIST);
	if (failed == -EEXIST) { /* another CPU had the first packet */
		known = bpf_map_lookup_elem(&flows, &key);
		if (known)
			add(known, sent, received, packets_sent, packets_received, now);
		return 1;
	}
	count_seen(class, direction);
	if (failed) {
		count_lost(class, direction, LOSS_FLOW_TABLE_FULL);
		if (m)
			m->lost_flow = flow_hash(&key);
		return 1;
	}
	tell(&key, &p, m, side, now, cookie);
	return 1;
}

SEC("cgroup_skb/ingress")
int datagram_in(struct __sk_buff *skb)
{
	return datagram(skb, false);
}

SEC("cgroup_skb/egress")
int datagram_out(struct __sk_buff *skb)
{
	return datagram(skb, true);
}

SEC("cgroup/sock_create")
int socket_created(struct bpf_sock *ctx)
{
	struct memory *m;

	if (ctx->protocol == PROTO_TCP || (ctx->family != AF_INET && ctx->family != AF_INET6))
		return 1;
	m = remember(ctx);
	if (!m)
		return 1; /* its flows then have no owner, but are counted and told */
	take_owner(m);
	m->netns = plain_netns(plain(ctx));
	return 1;
}

#endif
