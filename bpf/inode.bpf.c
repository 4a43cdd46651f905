// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * What inode a mapping of the agent's own is of, and whether anybody else maps it.
 *
 * stat() cannot tell: two overlay mounts of one lower file show two files, while probes, page cache
 * and mappings belong to the one below. The agent maps a page of the file, runs one of these
 * programs on itself (BPF_PROG_TEST_RUN) with the address as its argument, and reads the answer.
 * Nothing of the file is read.
 */
#include "kernel.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The answer: one run at a time. */
__u64 tw_inode_address = 0; /* in the kernel; 0: not found */
__u64 tw_inode_number = 0;
__u32 tw_inode_device = 0; /* its file system's, as the kernel packs it */
__u32 tw_inode_generation = 0;
__u32 tw_inode_alone = 0; /* the agent's mapping is the only one */

static __always_inline void tw_note(struct vm_area_struct *vma)
{
	struct file *file = BPF_CORE_READ(vma, vm_file);
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct rb_node *root = BPF_CORE_READ(file, f_mapping, i_mmap.rb_root.rb_node);
	struct rb_node *own = (void *)vma + bpf_core_field_offset(struct vm_area_struct, shared.rb);

	tw_inode_address = (u64)inode;
	tw_inode_number = BPF_CORE_READ(inode, i_ino);
	tw_inode_device = BPF_CORE_READ(inode, i_sb, s_dev);
	tw_inode_generation = BPF_CORE_READ(inode, i_generation);
	/* Mappings of a file are a tree. Read without its lock: the agent asks twice. */
	tw_inode_alone =
		root == own && !BPF_CORE_READ(own, rb_left) && !BPF_CORE_READ(own, rb_right);
}

static long tw_found(struct task_struct *task, struct vm_area_struct *vma, void *context)
{
	(void)task;
	(void)context;
	tw_note(vma);
	return 0;
}

/* From 5.17 on (commit 7c7e3d31e785). */
SEC("raw_tp/sys_enter")
int tw_inode_find(u64 *address)
{
	u64 none = 0;

	tw_inode_address = 0;
	return bpf_find_vma(bpf_get_current_task_btf(), address[0], tw_found, &none, 0);
}

#define TW_TREE_DEPTH 48 /* a red-black tree of 2^24 mappings */

/*
 * Where that helper is missing. The agent's other threads may turn the tree: then nothing is found,
 * and the agent asks again.
 */
SEC("raw_tp/sys_enter")
int tw_inode_walk(u64 *address)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u64 wanted = address[0];
	struct mm_struct___tree *mm;
	struct rb_node *node;

	tw_inode_address = 0;
	if (!bpf_core_field_exists(struct mm_struct___tree, mm_rb))
		return -1;
	mm = (void *)BPF_CORE_READ(task, mm);
	node = BPF_CORE_READ(mm, mm_rb.rb_node);
	for (int i = 0; i < TW_TREE_DEPTH && node; i++) {
		struct vm_area_struct *vma =
			(void *)node - bpf_core_field_offset(struct vm_area_struct___tree, vm_rb);

		if (wanted < BPF_CORE_READ(vma, vm_start)) {
			node = BPF_CORE_READ(node, rb_left);
		} else if (wanted >= BPF_CORE_READ(vma, vm_end)) {
			node = BPF_CORE_READ(node, rb_right);
		} else {
			tw_note(vma);
			return 0;
		}
	}
	return -1;
}
