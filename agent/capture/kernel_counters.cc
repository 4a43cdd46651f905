#include "agent/capture/kernel_counters.h"

#include <bpf/bpf.h>

#include <cstdint>
#include <iterator>
#include <vector>

namespace tokenwatch {
namespace {

// In the order of enum tw_counter (bpf/state.h).
constexpr const char* kNames[] = {
    "ring_full_lost",  // segments
    "connections_full_unseen",
    "threads_full_unseen",
    "calls_full_unseen",
    "processes_full_lost",    // announcements that could not be remembered
    "returns_missed_unseen",  // calls whose return was never seen
    "unreadable_lost",        // header bytes on pages that were not resident
    "steps_exceeded_lost",    // calls with more messages than one run follows
    "not_http_connections",
    "blocks_cut_lost",  // header blocks over 64 KiB
    "data_segments",
    "data_bytes",
    "body_bytes_skipped",
    "send_calls",
    "receive_calls",
    "tls_calls",
    "http2_side_unknown_unseen",  // HEADERS frames withheld: not known which side is the client
    "http2_framing_resumed",      // directions
    "mptcp_transfers_unseen",
    "scope_verdicts_recomputed",      // an executable's, as the map of them is full
    "scope_executables_deep_unseen",  // too deep in the file system to be compared
    "tls_beginnings_unread_unseen",
    "http2_bodies_full_lost",  // wanted ones, beyond eight streams of a connection at once
};

}  // namespace

void AddKernelCounters(int map_fd, Counters* counters) {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return;
  std::vector<uint64_t> values(cpus);
  for (uint32_t i = 0; i < std::size(kNames); ++i) {
    if (bpf_map_lookup_elem(map_fd, &i, values.data()) != 0) continue;
    uint64_t sum = 0;
    for (const uint64_t value : values) sum += value;
    (*counters)[kNames[i]] = sum;
  }
}

uint64_t MissedRuns(const bpf_object* object) {
  uint64_t missed = 0;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object) {
    const int fd = bpf_program__fd(program);
    bpf_prog_info info = {};
    uint32_t size = sizeof(info);
    if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0) missed += info.recursion_misses;
  }
  return missed;
}

}  // namespace tokenwatch
