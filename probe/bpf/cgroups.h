/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tp_btf/cgroup_mkdir and cgroup_rmdir (4.17): directories of the cgroup2 tree as they come and go,
 * so that a pod that lives for a tenth of a second still has a name. Directories of the old
 * hierarchies are left out.
 */
#ifndef MILLRACE_CGROUPS_H
#define MILLRACE_CGROUPS_H

static __always_inline int cgroup_changed(struct cgroup *cgroup, const char *path, u8 kind)
{
	struct cgroup_event *e;
	long length;

	if (cgroup->root->hierarchy_id != 0) /* the unified hierarchy has 0 */
		return 0;
	e = bpf_ringbuf_reserve(&cgroup_ring, sizeof(*e), 0);
	if (!e) {
		count_lost_event(LOSS_RING_FULL);
		return 0;
	}
	e->kind = kind;
	__builtin_memset(e->padding, 0, sizeof(e->padding));
	e->id = cgroup->kn->id;
	length = bpf_probe_read_kernel_str(e->path, sizeof(e->path), path);
	e->length = length > 0 ? length - 1 : 0;
	hand_over(e);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_made, struct cgroup *cgroup, const char *path)
{
	return cgroup_changed(cgroup, path, EVENT_CGROUP_MADE);
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_removed, struct cgroup *cgroup, const char *path)
{
	return cgroup_changed(cgroup, path, EVENT_CGROUP_REMOVED);
}

#endif
