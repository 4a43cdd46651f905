// Removes what the kernel programs remember of processes and connections that are gone. The maps
// are plain hashes: nothing else takes an entry out of them.
#ifndef TOKENWATCH_AGENT_CAPTURE_STATE_SWEEPER_H_
#define TOKENWATCH_AGENT_CAPTURE_STATE_SWEEPER_H_

#include <cstdint>

#include "agent/capture/kernel_programs.h"

namespace tokenwatch {

struct SweepResult {
  uint64_t connections = 0;  // removed
  uint64_t calls = 0;
  uint64_t verdicts = 0;  // on executables
  uint64_t kept_connections = 0;
};

// Looks at each entry once. `now_mono_ns` is CLOCK_MONOTONIC. Any thread, one at a time.
SweepResult SweepKernelState(const KernelPrograms& programs, uint64_t now_mono_ns);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_STATE_SWEEPER_H_
