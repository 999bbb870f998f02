/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the probe remembers of a socket in the socket itself, and how a socket describes itself. */
#ifndef MILLRACE_SOCKETS_H
#define MILLRACE_SOCKETS_H

enum memory_flag {
	MEMORY_COUNTED = 1 << 0, /* an attempt of this socket is in `seen` and not yet ended */
	MEMORY_REPORTED = 1 << 1, /* an event spoke for it */
	MEMORY_STALLED = 1 << 2, /* its first retransmission was told */
	MEMORY_RESET = 1 << 3, /* a reset came in */
	MEMORY_LISTENER = 1 << 4, /* a listener; a socket just accepted carries a copy of this */
	MEMORY_WANTS = 1 << 5, /* connect was called and no SYN was made yet */
	MEMORY_PREEXISTING = 1 << 6, /* found by the scan, older than the probe */
	MEMORY_BOUND = 1 << 7, /* found by the scan, bound to its local port */
};

struct memory {
	u64 started;
	u32 pid;
	u32 netns; /* datagram sockets only */
	u32 lost_flow; /* hash of the last flow of this socket for which the table had no room */
	u16 wanted_port;
	u8 side;
	u8 flags;
	u8 wanted[16];
	char command[COMMAND_LEN];
};

/* An accepted socket inherits the listener's memory, and thereby its owner. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct memory);
} memories SEC(".maps");

static __always_inline struct memory *recall(void *sk)
{
	return bpf_sk_storage_get(&memories, sk, 0, 0);
}

static __always_inline struct memory *remember(void *sk)
{
	return bpf_sk_storage_get(&memories, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
}

/* Right only inside a system call of the process: connect, listen, socket. */
static __always_inline void take_owner(struct memory *m)
{
	m->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(m->command, sizeof(m->command));
}

static __always_inline void give_owner(struct socket_event *e, const struct memory *m)
{
	e->pid = m->pid;
	__builtin_memcpy(e->command, m->command, sizeof(e->command));
	if (m->pid)
		e->flags |= FLAG_OWNER;
}

static __always_inline void no_owner(struct socket_event *e)
{
	e->pid = 0;
	__builtin_memset(e->command, 0, sizeof(e->command));
}

static __always_inline void put_ipv4(u8 *to, u32 address)
{
	u32 *words = (u32 *)to;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = address;
}

/*
 * Describes a socket from a tracepoint, where the verifier knows its type and members are read
 * directly.
 */
static __always_inline void describe(struct socket_event *e, struct sock *sk)
{
	e->protocol = sk->sk_protocol;
	e->cookie = bpf_get_socket_cookie(sk);
	e->netns = sk->__sk_common.skc_net.net->ns.inum;
	e->cgroup = 0;
	if (bpf_core_field_exists(((struct sock_cgroup_data *)0)->cgroup)) /* 5.15 */
		e->cgroup = sk->sk_cgrp_data.cgroup->kn->id;
	e->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	e->local_port = sk->__sk_common.skc_num;
	e->padding = 0;
	if (sk->__sk_common.skc_family == AF_INET6) {
		bpf_probe_read_kernel(e->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_probe_read_kernel(e->remote, 16, &sk->__sk_common.skc_v6_daddr);
	} else {
		put_ipv4(e->local, sk->__sk_common.skc_rcv_saddr);
		put_ipv4(e->remote, sk->__sk_common.skc_daddr);
	}
}

/*
 * Programs of cgroup hooks get a checked view of the socket that lacks most members. The address in
 * the register is the socket's own: copied through the stack it becomes a plain number that members
 * can be read from (CAP_PERFMON).
 */
static __always_inline struct sock *plain(const void *checked)
{
	u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), &checked);
	return (struct sock *)address;
}

static __always_inline u32 plain_netns(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

static __always_inline u64 plain_cgroup(struct sock *sk)
{
	if (!bpf_core_field_exists(((struct sock_cgroup_data *)0)->cgroup))
		return 0;
	return BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id);
}

#endif
