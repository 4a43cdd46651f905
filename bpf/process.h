/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Who is calling: announced once an image, from inside the process, before its first segment.
 *
 * Here and not at exec: a process may enter the scope after its exec, most processes never send a
 * token, and one that has exited by the time its use is reported cannot be asked any more.
 */
#ifndef TOKENWATCH_BPF_PROCESS_H_
#define TOKENWATCH_BPF_PROCESS_H_

#include "path.h"
#include "scope.h"
#include "state.h"

/* Appends one path component and its NUL at *len; false where it does not fit. */
static __always_inline bool tw_put_name(char *to, u32 *len, const void *name)
{
	u32 at = *len;
	long n;

	asm volatile("" : "+r"(at));
	if (at >= TW_PATH_MAX)
		return false;
	n = bpf_probe_read_kernel_str(to + (at & (TW_PATH_MAX - 1)), TW_PATH_SLACK, name);
	if (n <= 0)
		return false;
	*len = at + n;
	return n < TW_PATH_SLACK;
}

/* Writes the components of a path from the last to the first; false where it was cut. */
static __always_inline bool tw_put_path(char *to, u16 *out_len, struct path *path)
{
	struct tw_climb climb;
	u32 len = 0;
	bool whole = false;

	if (!tw_begin_climb(&climb, path))
		return false;
	for (int i = 0; i < TW_PATH_DEPTH; i++) {
		const unsigned char *name = NULL;
		enum tw_path_step step = tw_climb(&climb, &name);

		if (step == TW_PATH_ROOT) {
			whole = true;
			break;
		}
		if (step == TW_PATH_MOUNT)
			continue;
		if (!tw_put_name(to, &len, name))
			break;
	}
	*out_len = len;
	return whole;
}

static __always_inline bool tw_put_cgroup(char *to, u16 *out_len, struct task_struct *task, u64 *id)
{
	struct kernfs_node *node = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);
	u32 len = 0;
	bool whole = false;

	*id = BPF_CORE_READ(node, id);
	for (int i = 0; i < TW_PATH_DEPTH; i++) {
		struct kernfs_node *parent;

		if (!node) {
			whole = true;
			break;
		}
		parent = tw_kernfs_parent(node);
		/* The root's name is empty and no component. */
		if (parent && !tw_put_name(to, &len, BPF_CORE_READ(node, name)))
			break;
		node = parent;
	}
	*out_len = len;
	return whole;
}

/* Writes the announcement; false where the ring is full. A function of its own for the verifier. */
__noinline int tw_announce(u64 process)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct file *exe = BPF_CORE_READ(mm, exe_file);
	struct file *parent_exe = BPF_CORE_READ(parent, mm, exe_file);
	struct tw_process *p = bpf_ringbuf_reserve(&tw_segments, sizeof(*p), 0);
	unsigned long args, args_end;
	u64 n;
	u32 cut = 0;

	if (!p) {
		tw_count(TW_COUNT_RING_FULL);
		return 0;
	}
	tw_fill_header(&p->h, TW_PROCESS, sizeof(*p), 0, bpf_ktime_get_ns());
	p->process = process;
	p->start_boot_ns = tw_start_time(task);
	p->pid = bpf_get_current_pid_tgid() >> 32;
	p->parent_pid = BPF_CORE_READ(parent, tgid);
	p->uid = BPF_CORE_READ(task, cred, uid.val);
	p->gid = BPF_CORE_READ(task, cred, gid.val);
	p->login_uid = (u32)-1;
	if (bpf_core_field_exists(task->loginuid))
		p->login_uid = BPF_CORE_READ(task, loginuid.val);
	/* The process's name, not that of the thread that happens to call. */
	BPF_CORE_READ_STR_INTO(&p->comm, task, group_leader, comm);
	p->exe_len = p->parent_exe_len = p->cgroup_len = p->args_len = 0;
	if (!exe || !tw_put_path(p->exe, &p->exe_len, &exe->f_path))
		cut |= 1;
	if (!parent_exe || !tw_put_path(p->parent_exe, &p->parent_exe_len, &parent_exe->f_path))
		cut |= 2;
	if (!tw_put_cgroup(p->cgroup, &p->cgroup_len, task, &p->cgroup_id))
		cut |= 4;
	args = BPF_CORE_READ(mm, arg_start);
	args_end = BPF_CORE_READ(mm, arg_end);
	n = args_end - args;
	if (n > TW_ARGS_MAX)
		n = TW_ARGS_MAX;
	asm volatile("" : "+r"(n));
	if (n > TW_ARGS_MAX)
		n = TW_ARGS_MAX;
	if (n && bpf_probe_read_user(p->args, n, (void *)args) == 0)
		p->args_len = n;
	else
		cut |= 8;
	p->cut = cut;
	bpf_ringbuf_submit(p, tw_ring_flags());
	return 1;
}

/* The announced id of the current process image, announcing it if that has not been done. */
static __always_inline u64 tw_this_process(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct tw_image *known = bpf_map_lookup_elem(&tw_images, &tgid);
	struct tw_image image = {
		.process = tw_unique(),
		.exec_id = BPF_CORE_READ(task, group_leader, self_exec_id),
		.start = tw_start_time(task),
	};

	if (known && known->exec_id == image.exec_id && known->start == image.start)
		return known->process;
	/* Not remembered where it was not told: the next segment tries again. */
	if (!tw_announce(image.process))
		return 0;
	if (bpf_map_update_elem(&tw_images, &tgid, &image, BPF_ANY))
		tw_count(TW_COUNT_PROCESSES_FULL);
	return image.process;
}

#endif /* TOKENWATCH_BPF_PROCESS_H_ */
