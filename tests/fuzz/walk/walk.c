#include "tests/fuzz/walk/walk.h"

#include <linux/types.h>
#include <stdlib.h>
#include <string.h>

/*
 * What the programs have from the kernel. The headers that this file does without are kept out by
 * their guards.
 */
#define TOKENWATCH_BPF_KERNEL_H_
#define TOKENWATCH_BPF_PROCESS_H_

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __s32 s32;
typedef __u64 u64;

#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))
#define SEC(name)
#define __uint(name, value) int(*name)[value]
#define __type(name, value) value* name
#define AF_INET 2
#define AF_INET6 10
#define BPF_CORE_READ(from, ...) ((void)(from), 0)
#define BPF_CORE_READ_INTO(...) ((void)0)
#define bpf_ntohs(value) (value)

/* enum bpf_map_type, and flags, of which nothing depends here. */
enum {
  BPF_MAP_TYPE_HASH = 1,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_RINGBUF,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_F_MMAPABLE,
  BPF_NOEXIST,
  BPF_ANY,
  BPF_RB_FORCE_WAKEUP,
  BPF_RB_NO_WAKEUP,
  BPF_RB_AVAIL_DATA
};

struct iovec {
  void* iov_base;
  u64 iov_len;
};
struct sock;
struct task_struct;

static u64 now_ns;
static walk_sink current_sink;
static void* current_context;
static size_t reserved_size;

static void* bpf_map_lookup_elem(void* map, const void* key);

static long bpf_map_update_elem(void* map, const void* key, const void* value, u64 flags) {
  (void)map, (void)key, (void)value, (void)flags;
  return 0;
}
static long bpf_map_delete_elem(void* map, const void* key) {
  (void)map, (void)key;
  return 0;
}
static u64 bpf_ktime_get_ns(void) { return ++now_ns; }
static u32 bpf_get_smp_processor_id(void) { return 0; }
static u64 bpf_get_current_pid_tgid(void) { return 1ULL << 32 | 1; }
static u64 bpf_get_current_task(void) { return 0; }
static long bpf_probe_read_user(void* to, u32 size, const void* from) {
  memcpy(to, from, size);
  return 0;
}
static long bpf_probe_read_kernel(void* to, u32 size, const void* from) {
  return bpf_probe_read_user(to, size, from);
}
static u64 bpf_ringbuf_query(void* ring, u64 what) {
  (void)ring, (void)what;
  return 0;
}
static void* bpf_ringbuf_reserve(void* ring, u64 size, u64 flags) {
  (void)ring, (void)flags;
  reserved_size = size;
  return malloc(size);
}
static void bpf_ringbuf_submit(void* record, u64 flags) {
  (void)flags;
  current_sink(current_context, record, reserved_size);
  free(record);
}
static u64 tw_this_process(void) { return 1; }
static u64 tw_start_time(struct task_struct* task) {
  (void)task;
  return 0;
}

/* Knobs and tables are read-only for the programs, and set here. */
#define const
#include "bpf/http.h"
#undef const

static struct tw_connection the_connection;
static struct tw_thread the_thread;
static struct tw_control the_control;
static u64 the_counter;

static void* bpf_map_lookup_elem(void* map, const void* key) {
  (void)key;
  if (map == (void*)&tw_connections) return &the_connection;
  if (map == (void*)&tw_threads) return &the_thread;
  if (map == (void*)&tw_counters) return &the_counter;
  return map == (void*)&tw_control ? &the_control : NULL;
}

void walk_set_tables(const uint16_t* transitions, const uint8_t* classes, const uint16_t* huffman) {
  for (size_t i = 0; i < TW_HUFFMAN_NODES * 16; i++) tw_huffman[i] = huffman[i];
  for (size_t i = 0; i < TW_STATES * TW_CLASSES; i++) tw_table[i] = transitions[i];
  for (size_t i = 0; i < 256; i++) tw_class[i] = classes[i];
}

void walk_begin(bool late, bool inbound, walk_sink sink, void* context) {
  current_sink = sink;
  current_context = context;
  tw_inbound = inbound;
  memset(&the_connection, 0, sizeof(the_connection));
  memset(&the_thread, 0, sizeof(the_thread));
  the_connection.id = 1;
  the_connection.layer = TW_LAYER_TLS;
  the_connection.late = late;
}

void walk_call(int direction, const struct walk_piece* pieces, size_t count) {
  struct tw_work* w = &the_thread.work;
  u64 total = 0;

  _Static_assert(sizeof(struct walk_piece) == sizeof(struct iovec), "read as the other");
  for (size_t i = 0; i < count; i++) total += pieces[i].size;
  if (!total || !tw_turn(&the_connection, direction)) return;
  w->at = (u64)pieces[0].bytes;
  w->left = pieces[0].size;
  w->total = total;
  w->vector = (u64)(pieces + 1);
  w->pieces = count - 1;
  w->span_len = 0;
  w->called_ns = bpf_ktime_get_ns();
  w->direction = direction;
  tw_walk_work(&the_connection, w);
}

void walk_unseen(int direction, uint64_t bytes) {
  tw_pass_unseen(&the_connection, direction, bytes, TW_GAP_KERNEL_BUFFER);
}
