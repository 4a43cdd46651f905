/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Whether a task is to be observed, decided before anything of it is read.
 *
 * Values of one kind are alternatives, kinds narrow each other. Cgroups are asked first, so that
 * where they are given nothing of a task outside is looked at for the other kinds either. Kinds
 * that are not in use are removed by the verifier (read-only data) and have maps of one entry.
 */
#ifndef TOKENWATCH_BPF_SCOPE_H_
#define TOKENWATCH_BPF_SCOPE_H_

#include "path.h"
#include "state.h"

const volatile __u32 tw_self_tgid = 0; /* the agent's two processes, never observed */
const volatile __u32 tw_worker_tgid = 0;
const volatile __u32 tw_scope_cgroups = 0; /* entries of tw_scope in use; 0: all */
const volatile bool tw_scope_by_user = false;
const volatile bool tw_scope_by_exe = false;
const volatile bool tw_scope_by_pod = false;
const volatile __u64 tw_scope_seed = 0; /* of the hashes of paths */

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, u32);
} tw_scope SEC(".maps");

/* Real uids in the initial user namespace. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, u8);
} tw_scope_users SEC(".maps");

/* Hashes of executables' paths (tw_hash_path). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, u8);
} tw_scope_exes SEC(".maps");

/* Ids of the cgroups of the pods in scope. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u8);
} tw_scope_pods SEC(".maps");

/* What was found of the executable of a process image. */
struct tw_verdict {
	u64 exec_id;
	u64 start;
	u32 in_scope;
	u32 pad;
};

/* By thread group. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, struct tw_verdict);
} tw_verdicts SEC(".maps");

#define TW_PIECE 64 /* of a name, its NUL included: calls share a stack of 512 bytes */
#define TW_PIECES 5 /* that a name has at most: NAME_MAX is 255 */

/*
 * Adds a path's component to a hash: pieces of 63 bytes, each as eight zero-filled words; the last
 * one is shorter. False where the name cannot be read.
 */
static __always_inline bool tw_hash_name(u64 *hash, const unsigned char *name)
{
	u64 words[TW_PIECE / 8];

	for (int i = 0; i < TW_PIECES; i++) {
		long length;

		__builtin_memset(words, 0, sizeof(words));
		length = bpf_probe_read_kernel_str(words, sizeof(words), name);
		if (length <= 0)
			return false;
		for (int at = 0; at < TW_PIECE / 8; at++) {
			*hash = (*hash ^ words[at]) * 0x9e3779b97f4a7c15ULL;
			*hash ^= *hash >> 32;
		}
		if (length < TW_PIECE)
			return true;
		name += TW_PIECE - 1;
	}
	return false;
}

/*
 * The hash of an executable's path, as HashPath of agent/capture/scope.cc computes it: every
 * component, from the last to the first. 0: no path, or one of more steps than TW_PATH_DEPTH, which
 * is counted. A function of its own for its stack.
 */
__noinline u64 tw_hash_path(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct file *exe = BPF_CORE_READ(task, mm, exe_file);
	u64 hash = tw_scope_seed;
	struct tw_climb climb;

	if (!exe || !tw_begin_climb(&climb, &exe->f_path))
		return 0;
	for (int i = 0; i < TW_PATH_DEPTH; i++) {
		const unsigned char *name = NULL;
		enum tw_path_step step = tw_climb(&climb, &name);

		if (step == TW_PATH_ROOT)
			return hash;
		if (step == TW_PATH_MOUNT)
			continue;
		if (!tw_hash_name(&hash, name))
			return 0;
	}
	tw_count(TW_COUNT_EXE_DEEP);
	return 0;
}

static __always_inline bool tw_exe_in_scope(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct tw_verdict *known = bpf_map_lookup_elem(&tw_verdicts, &tgid);
	struct tw_verdict verdict = {
		.exec_id = BPF_CORE_READ(task, group_leader, self_exec_id),
		.start = tw_start_time(task),
	};
	u64 hash;

	if (known && known->exec_id == verdict.exec_id && known->start == verdict.start)
		return known->in_scope;
	hash = tw_hash_path();
	verdict.in_scope = hash && bpf_map_lookup_elem(&tw_scope_exes, &hash);
	/* Not remembered, it is found anew each time. */
	if (bpf_map_update_elem(&tw_verdicts, &tgid, &verdict, BPF_ANY))
		tw_count(TW_COUNT_VERDICTS_FULL);
	return verdict.in_scope;
}

/*
 * Whether the task is in the cgroup of a pod in scope, or below. Not remembered: a runtime moves
 * itself into a container's cgroup, and pods come and go. The helper that names an ancestor by its
 * level is there for these programs from 5.15 on only.
 */
static __always_inline bool tw_pod_in_scope(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct kernfs_node *node = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);

	for (int i = 0; i < TW_PATH_DEPTH && node; i++) {
		u64 id = BPF_CORE_READ(node, id);

		if (bpf_map_lookup_elem(&tw_scope_pods, &id))
			return true;
		node = tw_kernfs_parent(node);
	}
	return false;
}

/* What the kinds beside cgroups say. A function of its own for the verifier. */
__noinline int tw_in_narrow_scope(void)
{
	if (tw_scope_by_user) {
		u32 uid = bpf_get_current_uid_gid();

		if (!bpf_map_lookup_elem(&tw_scope_users, &uid))
			return 0;
	}
	if (tw_scope_by_pod && !tw_pod_in_scope())
		return 0;
	if (tw_scope_by_exe && !tw_exe_in_scope())
		return 0;
	return 1;
}

static __always_inline bool tw_in_cgroups(void)
{
	for (u32 i = 0; i < 64; i++) {
		if (i >= tw_scope_cgroups)
			break;
		if (bpf_current_task_under_cgroup(&tw_scope, i) == 1)
			return true;
	}
	return false;
}

/* Whether the current task is to be observed. Nothing of a task is read before this says so. */
static __always_inline bool tw_in_scope(void)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (tgid == tw_self_tgid || tgid == tw_worker_tgid)
		return false;
	if (tw_scope_cgroups && !tw_in_cgroups())
		return false;
	if (tw_scope_by_user || tw_scope_by_exe || tw_scope_by_pod)
		return tw_in_narrow_scope();
	return true;
}

#endif /* TOKENWATCH_BPF_SCOPE_H_ */
