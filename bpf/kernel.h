/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The few kernel types that the programs touch, kept by hand and relocated at load (CO-RE). Never
 * generated from the build host: a member that one kernel lacks is written as a flavour (`___name`)
 * beside the struct and asked for with bpf_core_field_exists. Kernel drift is noted here and only
 * here.
 */
#ifndef TOKENWATCH_BPF_KERNEL_H_
#define TOKENWATCH_BPF_KERNEL_H_

#include <asm/ptrace.h>
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __s32 s32;
typedef __u64 u64;

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262
#define MSG_PEEK 2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000
#define SOCK_BINDPORT_LOCK 8
#define TCP_SYN_SENT 2
#define TCP_TIME_WAIT 6

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct qstr {
	u32 len;
	const unsigned char *name;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct rb_node {
	struct rb_node *rb_right;
	struct rb_node *rb_left;
};

struct rb_root {
	struct rb_node *rb_node;
};

struct rb_root_cached {
	struct rb_root rb_root;
};

struct address_space {
	struct rb_root_cached i_mmap;
};

struct super_block {
	u32 s_dev;
};

struct inode {
	struct super_block *i_sb;
	unsigned long i_ino;
	u32 i_generation;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
	struct address_space *f_mapping;
};

struct vm_area_struct {
	unsigned long vm_start, vm_end;
	struct file *vm_file;
	struct {
		struct rb_node rb;
	} shared;
};

/* Before 6.1 (commits d4af56c5c7c6, 524e00b36e8c) mappings were in a tree of nodes of their own. */
struct vm_area_struct___tree {
	struct rb_node vm_rb;
} __attribute__((preserve_access_index));

struct mm_struct___tree {
	struct rb_root mm_rb;
} __attribute__((preserve_access_index));

struct mm_struct {
	unsigned long arg_start, arg_end;
	struct file *exe_file;
};

struct kernfs_node {
	struct kernfs_node *parent;
	const char *name;
	u64 id;
};

/* 6.15 (commit 741c10b096bc) made the parent an RCU pointer with a new name. */
struct kernfs_node___renamed {
	struct kernfs_node *__parent;
} __attribute__((preserve_access_index));

struct cgroup {
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

typedef struct {
	u32 val;
} kuid_t;

typedef struct {
	u32 val;
} kgid_t;

struct cred {
	kuid_t uid;
	kgid_t gid;
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
};

struct task_struct {
	struct mm_struct *mm;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	u64 start_boottime;
	u64 self_exec_id; /* u32 before 5.10 */
	const struct cred *cred;
	char comm[16];
	kuid_t loginuid;
	struct signal_struct *signal;
	struct css_set *cgroups;
	void *stack;
};

struct in6_addr {
	union {
		u8 u6_addr8[16];
	} in6_u;
};

struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_num;
	u16 skc_family;
	unsigned char skc_state;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	u16 sk_protocol;
	u8 sk_userlocks : 4;
};

struct inet_sock {
	u16 inet_sport;
};

struct tcp_ulp_ops;

struct inet_connection_sock {
	const struct tcp_ulp_ops *icsk_ulp_ops;
};

struct tcp_sock {
	u32 data_segs_out;
	u32 rcv_nxt;
	u32 copied_seq;
	u64 bytes_received;
};

/* As the kernel names them; asm/ptrace.h has the names for user space. */
struct pt_regs___kernel {
	unsigned long si;
	unsigned long dx;
	unsigned long orig_ax;
	unsigned long cs;
	unsigned long sp;
};

struct iovec {
	void *iov_base;
	u64 iov_len;
};

struct iov_iter {
	u8 iter_type;
	u64 iov_offset;
	const struct iovec *__iov;
	u64 count;
	u64 nr_segs;
};

/* One flat user buffer, since 6.0 (commit fcb14cb1bdac). */
struct iov_iter___ubuf {
	void *ubuf;
} __attribute__((preserve_access_index));

/* Before 6.4 (commit de4f5fed3f23) the array was called iov. */
struct iov_iter___iov {
	const struct iovec *iov;
} __attribute__((preserve_access_index));

/* Before 5.14 (commit 8cd54c1c8480) the type shared a word with the direction bits. */
struct iov_iter___bits {
	unsigned int type;
} __attribute__((preserve_access_index));

struct msghdr {
	struct iov_iter msg_iter;
};

#pragma clang attribute pop

/* The values moved in 6.4 and 6.7; asked for by name. */
enum iter_type {
	ITER_IOVEC = 0,
};
enum iter_type___ubuf {
	ITER_UBUF = 6,
};

/* A system call's view of msghdr (uapi, stable). */
struct user_msghdr {
	void *msg_name;
	int msg_namelen;
	int pad;
	const struct iovec *msg_iov;
	u64 msg_iovlen;
};

#endif /* TOKENWATCH_BPF_KERNEL_H_ */
