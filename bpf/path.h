/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Steps up a path in the kernel's own trees, from the last component to the first. Nothing is
 * copied here: what a step finds is a pointer to a name in kernel memory.
 */
#ifndef TOKENWATCH_BPF_PATH_H_
#define TOKENWATCH_BPF_PATH_H_

#include "kernel.h"

/* Steps that are taken at most; crossing a mount is one, finding the root is the last. */
#define TW_PATH_DEPTH 32

enum tw_path_step {
	TW_PATH_NAME,  /* a component */
	TW_PATH_MOUNT, /* none: up from a mount's root to what it is mounted on */
	TW_PATH_ROOT,  /* the path is complete */
};

struct tw_climb {
	struct dentry *dentry;
	struct mount *mount;
};

static __always_inline bool tw_begin_climb(struct tw_climb *climb, struct path *path)
{
	struct vfsmount *vfs = BPF_CORE_READ(path, mnt);

	climb->dentry = BPF_CORE_READ(path, dentry);
	climb->mount = (void *)vfs - bpf_core_field_offset(struct mount, mnt);
	return climb->dentry && vfs;
}

/* Up to the root of the mount namespace, whatever the process's own root is. */
static __always_inline enum tw_path_step tw_climb(struct tw_climb *climb,
						  const unsigned char **name)
{
	/* A read whose expression has `climb` in it would be relocated as if that were the
	 * kernel's. */
	struct dentry *dentry = climb->dentry;
	struct mount *mount = climb->mount;
	struct dentry *root = BPF_CORE_READ(mount, mnt.mnt_root);
	struct dentry *parent;

	if (dentry == root) {
		struct mount *above = BPF_CORE_READ(mount, mnt_parent);

		if (above == mount)
			return TW_PATH_ROOT;
		climb->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		climb->mount = above;
		return TW_PATH_MOUNT;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	if (parent == dentry)
		return TW_PATH_ROOT;
	*name = BPF_CORE_READ(dentry, d_name.name);
	climb->dentry = parent;
	return TW_PATH_NAME;
}

static __always_inline struct kernfs_node *tw_kernfs_parent(struct kernfs_node *node)
{
	if (bpf_core_field_exists(((struct kernfs_node___renamed *)node)->__parent))
		return BPF_CORE_READ((struct kernfs_node___renamed *)node, __parent);
	return BPF_CORE_READ(node, parent);
}

static __always_inline u64 tw_start_time(struct task_struct *task)
{
	return BPF_CORE_READ(task, group_leader, start_boottime);
}

#endif /* TOKENWATCH_BPF_PATH_H_ */
