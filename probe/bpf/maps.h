/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Rings, tables and counters. Everything is bounded. Tables are plain hashes and not LRU: a full
 * table is then an error that is counted, an LRU forgets in silence.
 */
#ifndef MILLRACE_MAPS_H
#define MILLRACE_MAPS_H

/* Allowed connections and their ends. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring SEC(".maps");

/* Drops have a ring of their own, so that no flood of allowed connections pushes one out. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 2 << 20);
} drop_ring SEC(".maps");

/* So have cgroups: a pod must be known by name before its first event is read. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} cgroup_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, struct flow_key);
	__type(value, struct flow_value);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct drop_key);
	__type(value, struct drop_value);
} drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct counters);
} counts SEC(".maps");

static __always_inline struct counters *counters(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&counts, &zero);
}

/* Programs interrupt one another on one CPU, hence atomic although the memory is per CPU. */
static __always_inline void count_attempt(u64 *table, u32 class, u32 direction, u64 n)
{
	u32 at = class * DIRECTIONS + direction;

	barrier_var(at);
	if (at < CLASSES * DIRECTIONS)
		__sync_fetch_and_add(&table[at], n);
}

static __always_inline void count_seen(u32 class, u32 direction)
{
	struct counters *c = counters();

	if (c)
		count_attempt(c->seen, class, direction, 1);
}

static __always_inline void count_reported(u32 class, u32 direction)
{
	struct counters *c = counters();

	if (c)
		count_attempt(c->reported, class, direction, 1);
}

static __always_inline void count_lost(u32 class, u32 direction, u32 reason)
{
	struct counters *c = counters();
	u32 at = (class * DIRECTIONS + direction) * LOSSES + reason;

	barrier_var(at);
	if (c && at < CLASSES * DIRECTIONS * LOSSES)
		__sync_fetch_and_add(&c->lost[at], 1);
}

static __always_inline void count_lost_event(u32 reason)
{
	struct counters *c = counters();

	if (c && reason < LOSSES)
		__sync_fetch_and_add(&c->lost_events[reason], 1);
}

static __always_inline u32 class_of(u8 protocol)
{
	switch (protocol) {
	case PROTO_TCP:
		return CLASS_TCP;
	case PROTO_UDP:
		return CLASS_UDP;
	case PROTO_ICMP:
		return CLASS_ICMP;
	case PROTO_ICMPV6:
		return CLASS_ICMPV6;
	case PROTO_SCTP:
		return CLASS_SCTP;
	default:
		return CLASS_OTHER;
	}
}

/*
 * Never wakes the reader, who looks by the clock: a wake-up for each event costs more than all the
 * rest.
 */
static __always_inline void hand_over(void *event)
{
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

#endif
