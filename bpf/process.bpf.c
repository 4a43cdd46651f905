// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * The end of threads, images and processes, and the wiping of the ring.
 */
#include "process.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define TW_NESTED_CALLS 8 /* forgotten of a thread; deeper ones wait for the sweep */

/* A thread is gone, and so are the TLS calls that it was inside of. */
static __always_inline void tw_forget_thread(u64 id)
{
	struct tw_thread *thread = bpf_map_lookup_elem(&tw_threads, &id);
	struct tw_call_key key = {.process = id >> 32};

	if (!thread)
		return;
	key.stack = thread->inside ? thread->inside_stack : 0;
	for (int i = 0; i < TW_NESTED_CALLS && key.stack; i++) {
		struct tw_call *call = bpf_map_lookup_elem(&tw_calls, &key);
		u64 outer;

		if (!call || call->thread != id)
			break;
		outer = call->outer ? call->outer_stack : 0;
		bpf_map_delete_elem(&tw_calls, &key);
		key.stack = outer;
	}
	bpf_map_delete_elem(&tw_threads, &id);
}

/*
 * The thread that calls exec lives on as the process's leading one, under its number; what it was
 * inside of has gone with the image. The others exit.
 */
SEC("tp_btf/sched_process_exec")
int tw_task_exec(u64 *ctx)
{
	tw_forget_thread((bpf_get_current_pid_tgid() >> 32 << 32) | (u32)ctx[1]);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int tw_task_exit(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	u64 id = bpf_get_current_pid_tgid();
	u32 tgid = id >> 32;
	struct tw_image *image;
	struct tw_exit *e;

	tw_forget_thread(id);
	/* The thread group's last one. */
	if (BPF_CORE_READ(task, signal, live.counter))
		return 0;
	bpf_map_delete_elem(&tw_verdicts, &tgid);
	image = bpf_map_lookup_elem(&tw_images, &tgid);
	if (!image)
		return 0;
	e = bpf_ringbuf_reserve(&tw_segments, sizeof(*e), 0);
	if (e) {
		tw_fill_header(&e->h, TW_EXIT, sizeof(*e), 0, bpf_ktime_get_ns());
		e->process = image->process;
		e->pid = tgid;
		e->pad = 0;
		bpf_ringbuf_submit(e, tw_ring_flags());
	} else {
		tw_count(TW_COUNT_RING_FULL);
	}
	bpf_map_delete_elem(&tw_images, &tgid);
	return 0;
}

#define TW_WIPE_BYTES 4088 /* with the ring's own 8 a record of a page */

static const u8 tw_zeros[TW_WIPE_BYTES];

/*
 * Consumed pages of the ring are read-only to the agent, so the kernel writes the zeros: each run
 * reserves, clears and discards 64 pages. Run by the agent (BPF_PROG_TEST_RUN) when the ring is
 * idle.
 */
SEC("raw_tp/sys_enter")
int tw_wipe(void *ctx)
{
	(void)ctx;
	for (int i = 0; i < 64; i++) {
		void *page = bpf_ringbuf_reserve(&tw_segments, TW_WIPE_BYTES, 0);

		if (!page)
			return i;
		bpf_probe_read_kernel(page, TW_WIPE_BYTES, tw_zeros);
		bpf_ringbuf_discard(page, BPF_RB_NO_WAKEUP);
	}
	return 64;
}
