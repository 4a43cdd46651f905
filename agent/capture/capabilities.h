// What the kernel allows this process, said by name.
#ifndef TOKENWATCH_AGENT_CAPTURE_CAPABILITIES_H_
#define TOKENWATCH_AGENT_CAPTURE_CAPABILITIES_H_

#include <string>

#include "absl/status/status.h"

namespace tokenwatch {

// OK where this process has every capability that capturing needs; else PermissionDenied naming
// each missing one, what it is for, and what to do. Attaching through the perf PMU asks for
// CAP_SYS_ADMIN (kernels 6.1 and 7.0 answer EACCES without it).
absl::Status CheckCapabilities();

// FailedPrecondition, saying what to do, where the kernel has no BTF.
absl::Status CheckKernel();

// A negative errno of libbpf as a Status that names what was tried.
absl::Status KernelError(int negative_errno, const std::string& what);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_CAPABILITIES_H_
