// The kernel programs' counters by name.
#ifndef TOKENWATCH_AGENT_CAPTURE_KERNEL_COUNTERS_H_
#define TOKENWATCH_AGENT_CAPTURE_KERNEL_COUNTERS_H_

#include "agent/common/counters.h"

namespace tokenwatch {

// Adds the counters of the per-CPU map with this descriptor (tw_counters).
void AddKernelCounters(int map_fd, Counters* counters);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_KERNEL_COUNTERS_H_
