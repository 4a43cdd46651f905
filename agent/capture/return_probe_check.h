// Whether the kernel's return probes harm programs that seccomp confines.
#ifndef TOKENWATCH_AGENT_CAPTURE_RETURN_PROBE_CHECK_H_
#define TOKENWATCH_AGENT_CAPTURE_RETURN_PROBE_CHECK_H_

#include <string>

#include "absl/time/time.h"

namespace tokenwatch {

// Called by the probed function of the trial, in a child process and under its filter.
using InsideTrial = void (*)();
void NothingInside();

// Tries it: a child with no privileges to gain puts a return probe on a function of this program
// that nobody else runs, for itself alone, and calls it once under a filter that kills it for any
// unknown system call. Kernels from 6.11 on leave the probe by one, uretprobe (commit
// ff474a78cef5), which filters saw until commit cf6cb56ef244 (6.14, and later stable releases
// of 6.12 and 6.13).
//
// Returns an empty string where the child lived, or no program can be confined; else a clause for
// people that says what return probes do here, or that the trial came to no end. Needs
// CAP_SYS_ADMIN as probes do. Blocks for some 20 ms, never longer than `patience`.
std::string HarmOfReturnProbes(InsideTrial inside = NothingInside,
                               absl::Duration patience = absl::Seconds(10));

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_RETURN_PROBE_CHECK_H_
