/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is common to all readers of packet headers. */
#ifndef MILLRACE_PACKETS_H
#define MILLRACE_PACKETS_H

#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define IPV6_EXTENSIONS 6 /* more than any sender outside a test chains */

struct packet {
	u8 source[16];
	u8 dest[16];
	u32 transport; /* offset of the layer-4 header from the network header */
	u32 sequence; /* TCP */
	u16 source_port;
	u16 dest_port;
	u8 protocol;
	u8 tcp_flags;
	u8 icmp_type;
	u8 icmp_code;
};

static __always_inline bool same_address(const u8 *a, const u8 *b)
{
	const u64 *x = (const u64 *)a, *y = (const u64 *)b;

	return x[0] == y[0] && x[1] == y[1];
}

static __always_inline bool is_extension(u8 protocol)
{
	return protocol == PROTO_HOP_BY_HOP || protocol == PROTO_ROUTING ||
	       protocol == PROTO_DEST_OPTIONS || protocol == PROTO_AUTH ||
	       protocol == PROTO_FRAGMENT;
}

static __always_inline u32 extension_length(u8 protocol, u8 length)
{
	if (protocol == PROTO_FRAGMENT)
		return 8;
	return protocol == PROTO_AUTH ? (length + 2) * 4 : (length + 1) * 8;
}

static __always_inline bool has_ports(u8 protocol)
{
	return protocol == PROTO_TCP || protocol == PROTO_UDP || protocol == PROTO_SCTP ||
	       protocol == PROTO_UDP_LITE;
}

static __always_inline bool is_icmp(u8 protocol)
{
	return protocol == PROTO_ICMP || protocol == PROTO_ICMPV6;
}

/*
 * Of ICMP only questions and answers belong to an attempt. Errors speak of another attempt;
 * neighbour discovery, router and multicast housekeeping are the network's own.
 */
static __always_inline bool icmp_asks(u8 protocol, u8 type)
{
	if (protocol == PROTO_ICMP)
		return type == 8 || type == 13 || type == 15 || type == 17 || type == 42;
	return type == 128 || type == 139 || type == 160;
}

static __always_inline bool icmp_answers(u8 protocol, u8 type)
{
	if (protocol == PROTO_ICMP)
		return type == 0 || type == 14 || type == 16 || type == 18 || type == 43;
	return type == 129 || type == 140 || type == 161;
}

#endif
