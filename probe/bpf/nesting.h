/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel skips a run of a tracing program while another run of the same program is under way on
 * its CPU. That happens in two ways: an interrupt in the middle of a run for a process brings a
 * batch of packets, and all their events, 64 and more, would be skipped; and a process may be
 * preempted in the middle, and all events of the others would be skipped until it goes on.
 *
 * So each tracepoint of which an event should not be missed has more than one program. They do the
 * same, one after the other: the first leaves a note of what it did, and the next does what it
 * finds no note of. An event is missed only if it comes while all of them are under way on one CPU.
 * If something comes between two of them and takes the note, the work is done twice: the second
 * time it must then do nothing.
 */
#ifndef MILLRACE_NESTING_H
#define MILLRACE_NESTING_H

enum place {
	PLACE_TCP_STATE,
	PLACE_DROP,
	PLACE_SOCKET_ERROR,
	PLACES,
};

struct note {
	u64 object;
	u64 detail;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PLACES);
	__type(key, u32);
	__type(value, struct note);
} notes SEC(".maps");

/*
 * At the start of the first program. An old note goes: the same object may be back, and whatever
 * interrupts from here on must find none.
 */
static __always_inline struct note *first_turn(u32 place)
{
	struct note *n = bpf_map_lookup_elem(&notes, &place);

	if (n)
		n->object = 0;
	return n;
}

/* At the start of a later one: nothing if the work is done. */
static __always_inline struct note *next_turn(u32 place, void *object, u64 detail)
{
	struct note *n = bpf_map_lookup_elem(&notes, &place);

	return n && n->object == (u64)object && n->detail == detail ? NULL : n;
}

/* At the end. */
static __always_inline void leave_note(struct note *n, void *object, u64 detail)
{
	n->detail = detail;
	n->object = (u64)object;
}

#endif
