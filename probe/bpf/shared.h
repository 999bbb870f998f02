/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The bytes that programs and user space share: events in rings, keys and values of tables,
 * counters.
 *
 * All padding is written out. Sizes and offsets are asserted here and again in
 * src/kernel/layout.rs, so that a change on one side alone does not compile. Numbers are in the
 * machine's order, ports too; an address is 16 bytes, IPv4 as
 * ::ffff:a.b.c.d.
 */
#ifndef MILLRACE_SHARED_H
#define MILLRACE_SHARED_H

#define COMMAND_LEN 16
#define CGROUP_PATH_LEN 1024 /* TRACE_CGROUP_PATH_LEN of the kernel: a path is never cut */

enum event_kind {
	EVENT_TCP_ESTABLISHED = 1,
	EVENT_TCP_STALLED = 2,
	EVENT_TCP_CLOSED = 3,
	EVENT_TCP_GAVE_UP = 4,
	EVENT_TCP_NEVER_SENT = 5,
	EVENT_DATAGRAM = 6,
	EVENT_DATAGRAM_ERROR = 7,
	EVENT_DROP = 8,
	EVENT_CGROUP_MADE = 9,
	EVENT_CGROUP_REMOVED = 10,
	EVENT_SCANNED = 11,
};

enum event_flag {
	FLAG_REPORTED_BEFORE = 1 << 0, /* an earlier event spoke for the attempt */
	FLAG_PREEXISTING = 1 << 1, /* the socket is older than the probe: not counted */
	FLAG_OWNER = 1 << 2, /* pid and command are filled in */
	FLAG_ABORTED = 1 << 3, /* a reset or an error ended it */
	FLAG_RESET = 1 << 4, /* a reset came in */
	FLAG_BOUND_BEFORE = 1 << 5, /* older than the probe and bound to its local port */
	FLAG_LISTENING = 1 << 6, /* scan: a listener, or bound and not connected */
	FLAG_FIRST = 1 << 7, /* drop: the packet begins something */
};

enum side {
	SIDE_UNKNOWN = 0,
	SIDE_INITIATOR = 1,
	SIDE_RECEIVER = 2,
};

/* One socket and what happened to it. */
struct socket_event {
	__u8 kind;
	__u8 side;
	__u8 flags;
	__u8 protocol;
	__u16 error;
	__u8 icmp_type;
	__u8 icmp_code;
	__u64 at;
	__u64 cookie;
	__u64 cgroup;
	__u64 started;
	__u32 netns;
	__u32 pid;
	__u16 local_port;
	__u16 remote_port;
	__u32 padding;
	__u8 local[16];
	__u8 remote[16];
	char command[COMMAND_LEN];
};

struct tcp_totals {
	__u64 bytes_out;
	__u64 bytes_in;
	__u32 packets_out;
	__u32 packets_in;
	__u32 smooth_rtt_us;
	__u32 min_rtt_us;
	__u32 retransmissions;
	__u32 lost;
	__u32 unrecovered;
	__u32 mss;
	__u32 congestion_window;
	__u32 padding;
};

/* The end of a TCP attempt or connection, and a line of the scan. */
struct socket_report {
	struct socket_event event;
	struct tcp_totals totals;
};

struct drop_event {
	__u8 kind;
	__u8 protocol;
	__u8 flags;
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 padding;
	__u16 original_port;
	__u64 at;
	__u32 netns;
	__u32 reason;
	__u16 source_port;
	__u16 dest_port;
	__u32 padding_2;
	__u8 source[16];
	__u8 dest[16];
	__u8 original[16]; /* all zero: none, or the same as dest */
};

struct cgroup_event {
	__u8 kind;
	__u8 padding[3];
	__u32 length; /* of the path, without the final zero */
	__u64 id;
	char path[CGROUP_PATH_LEN];
};

/* Table `flows`: datagrams of one socket address pair. */
struct flow_key {
	__u64 cgroup;
	__u32 netns;
	__u16 local_port;
	__u16 remote_port;
	__u8 protocol;
	__u8 padding[7];
	__u8 local[16];
	__u8 remote[16];
};

struct flow_value {
	__u64 bytes_out;
	__u64 bytes_in;
	__u64 packets_out;
	__u64 packets_in;
	__u64 last;
	__u64 cookie;
	__u32 told; /* 1 if its event reached the ring, 0 if it was counted lost */
	__u32 padding;
};

/*
 * Table `drops`: what was told already. A retry of a SYN is the same drop; a SYN with another
 * sequence number is another attempt, also from the same port.
 */
struct drop_key {
	__u32 netns;
	__u32 reason;
	__u16 source_port;
	__u16 dest_port;
	__u8 protocol;
	__u8 padding[3];
	__u8 source[16];
	__u8 dest[16];
};

struct drop_value {
	__u64 count;
	__u64 last;
	__u32 sequence; /* of the last SYN told, else 0 */
	__u32 padding;
};

enum attempt_class {
	CLASS_TCP = 0,
	CLASS_UDP = 1,
	CLASS_ICMP = 2,
	CLASS_ICMPV6 = 3,
	CLASS_SCTP = 4,
	CLASS_OTHER = 5,
	CLASSES = 6,
};

enum attempt_direction {
	DIRECTION_OUT = 0,
	DIRECTION_IN = 1,
	DIRECTION_DROP = 2,
	DIRECTIONS = 3,
};

enum loss_reason {
	LOSS_RING_FULL = 0,
	LOSS_DROP_RING_FULL = 1,
	LOSS_FLOW_TABLE_FULL = 2,
	LOSS_DROP_TABLE_FULL = 3,
	LOSS_NO_OWNER = 4,
	LOSSES = 5,
};

/*
 * Per CPU, raised before any ring, table or storage is asked. At rest seen = reported + lost +
 * still undecided.
 */
struct counters {
	__u64 seen[CLASSES * DIRECTIONS];
	__u64 reported[CLASSES * DIRECTIONS];
	__u64 lost[CLASSES * DIRECTIONS * LOSSES];
	__u64 lost_events[LOSSES];
};

#define ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), "size of " #type)
#define ASSERT_OFFSET(type, field, offset) \
	_Static_assert(__builtin_offsetof(type, field) == (offset), "offset of " #type "." #field)

ASSERT_SIZE(struct socket_event, 104);
ASSERT_OFFSET(struct socket_event, error, 4);
ASSERT_OFFSET(struct socket_event, at, 8);
ASSERT_OFFSET(struct socket_event, cookie, 16);
ASSERT_OFFSET(struct socket_event, cgroup, 24);
ASSERT_OFFSET(struct socket_event, started, 32);
ASSERT_OFFSET(struct socket_event, netns, 40);
ASSERT_OFFSET(struct socket_event, pid, 44);
ASSERT_OFFSET(struct socket_event, local_port, 48);
ASSERT_OFFSET(struct socket_event, local, 56);
ASSERT_OFFSET(struct socket_event, remote, 72);
ASSERT_OFFSET(struct socket_event, command, 88);
ASSERT_SIZE(struct tcp_totals, 56);
ASSERT_OFFSET(struct tcp_totals, packets_out, 16);
ASSERT_OFFSET(struct tcp_totals, congestion_window, 48);
ASSERT_SIZE(struct socket_report, 160);
ASSERT_OFFSET(struct socket_report, totals, 104);
ASSERT_SIZE(struct drop_event, 80);
ASSERT_OFFSET(struct drop_event, original_port, 6);
ASSERT_OFFSET(struct drop_event, at, 8);
ASSERT_OFFSET(struct drop_event, netns, 16);
ASSERT_OFFSET(struct drop_event, source_port, 24);
ASSERT_OFFSET(struct drop_event, source, 32);
ASSERT_OFFSET(struct drop_event, original, 64);
ASSERT_SIZE(struct cgroup_event, 1040);
ASSERT_OFFSET(struct cgroup_event, id, 8);
ASSERT_OFFSET(struct cgroup_event, path, 16);
ASSERT_SIZE(struct flow_key, 56);
ASSERT_OFFSET(struct flow_key, local_port, 12);
ASSERT_OFFSET(struct flow_key, local, 24);
ASSERT_SIZE(struct flow_value, 56);
ASSERT_OFFSET(struct flow_value, told, 48);
ASSERT_SIZE(struct drop_key, 48);
ASSERT_OFFSET(struct drop_key, source, 16);
ASSERT_SIZE(struct drop_value, 24);
ASSERT_OFFSET(struct drop_value, last, 8);
ASSERT_SIZE(struct counters, 8 * (18 + 18 + 90 + 5));

#endif
