/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The few kernel types that the programs look into, only with the members used. The loader
 * relocates each member against the BTF of the running kernel, so order and size here mean nothing.
 */
#ifndef MILLRACE_KERNEL_TYPES_H
#define MILLRACE_KERNEL_TYPES_H

#define RELOCATED __attribute__((preserve_access_index))

#define AF_INET 2
#define AF_INET6 10
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd

#define PROTO_HOP_BY_HOP 0
#define PROTO_ICMP 1
#define PROTO_IGMP 2
#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_ROUTING 43
#define PROTO_FRAGMENT 44
#define PROTO_AUTH 51
#define PROTO_ICMPV6 58
#define PROTO_DEST_OPTIONS 60
#define PROTO_SCTP 132
#define PROTO_UDP_LITE 136

#define SOCKET_TYPE_RAW 3
#define SOCKET_DONE 1 /* SOCK_DONE: set when a FIN is taken in, bit 1 since long before 5.8 */
#define SOCKET_BOUND_PORT 8 /* SOCK_BINDPORT_LOCK */
#define ECONNREFUSED 111
#define EHOSTUNREACH 113
#define EEXIST 17

enum tcp_state {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_TIME_WAIT = 6,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LAST_ACK = 9,
	TCP_LISTEN = 10,
	TCP_CLOSING = 11,
};

struct ns_common {
	unsigned int inum;
} RELOCATED;

struct net {
	struct ns_common ns;
} RELOCATED;

typedef struct {
	struct net *net;
} possible_net_t;

struct kernfs_node {
	u64 id;
} RELOCATED;

struct cgroup_root {
	int hierarchy_id;
} RELOCATED;

struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
} RELOCATED;

struct sock_cgroup_data {
	struct cgroup *cgroup;
} RELOCATED;

struct in6_addr {
	u8 bytes[16]; /* copied whole, never looked into */
};

struct sock_common {
	struct {
		__be32 skc_daddr;
		__be32 skc_rcv_saddr;
	};
	struct {
		__be16 skc_dport;
		u16 skc_num;
	};
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned long skc_flags;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
} RELOCATED;

struct socket;

struct sock {
	struct sock_common __sk_common;
	int sk_err;
	int sk_err_soft;
	u16 sk_protocol;
	u16 sk_type;
	u8 sk_shutdown;
	u8 sk_userlocks;
	struct socket *sk_socket;
	struct sock_cgroup_data sk_cgrp_data;
} RELOCATED;

/* An enumeration as in the kernel, else the member is not found. */
typedef enum {
	SS_FREE = 0,
	SS_UNCONNECTED = 1, /* the connect call has not returned yet */
} socket_state;

struct socket {
	socket_state state;
	struct sock *sk;
} RELOCATED;

struct inet_sock {
	__be16 inet_sport;
} RELOCATED;

struct inet_bind_bucket {
	signed char fastreuse;
} RELOCATED;

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct inet_bind_bucket *icsk_bind_hash;
	u8 icsk_retransmits;
} RELOCATED;

struct minmax_sample {
	u32 v;
} RELOCATED;

struct minmax {
	struct minmax_sample s[3];
} RELOCATED;

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	u64 bytes_acked;
	u64 bytes_received;
	u32 srtt_us;
	u32 total_retrans;
	u32 segs_in;
	u32 segs_out;
	u32 lost;
	u32 mss_cache;
	u32 snd_cwnd;
	u32 snd_una;
	u32 rcv_nxt;
	u32 write_seq;
	struct minmax rtt_min;
} RELOCATED;

struct net_device {
	possible_net_t nd_net;
} RELOCATED;

struct sk_buff {
	unsigned char *head;
	u16 network_header;
	__be16 protocol;
	struct net_device *dev;
	struct sock *sk;
	unsigned long _nfct;
} RELOCATED;

union nf_inet_addr {
	u32 all[4];
} RELOCATED;

struct nf_conntrack_tuple {
	struct {
		union nf_inet_addr u3;
		union {
			__be16 all;
		} u;
	} dst;
} RELOCATED;

struct nf_conntrack_tuple_hash {
	struct nf_conntrack_tuple tuple;
} RELOCATED;

struct nf_conn {
	struct nf_conntrack_tuple_hash tuplehash[2];
} RELOCATED;

struct file;

struct task_struct {
	int tgid;
	char comm[16];
} RELOCATED;

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} RELOCATED;

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
} RELOCATED;

#endif
