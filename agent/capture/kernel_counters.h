// The kernel programs' counters by name.
#ifndef TOKENWATCH_AGENT_CAPTURE_KERNEL_COUNTERS_H_
#define TOKENWATCH_AGENT_CAPTURE_KERNEL_COUNTERS_H_

#include <bpf/libbpf.h>

#include <cstdint>

#include "agent/common/counters.h"

namespace tokenwatch {

// Adds the counters of the per-CPU map with this descriptor (tw_counters).
void AddKernelCounters(int map_fd, Counters* counters);

// Runs of the object's programs that the kernel left out because the same program was already
// running on that CPU (bpf_prog_info.recursion_misses, 5.12; 0 before).
uint64_t MissedRuns(const bpf_object* object);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_KERNEL_COUNTERS_H_
