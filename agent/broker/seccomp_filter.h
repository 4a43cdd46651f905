// The system calls that the worker may make.
#ifndef TOKENWATCH_AGENT_BROKER_SECCOMP_FILTER_H_
#define TOKENWATCH_AGENT_BROKER_SECCOMP_FILTER_H_

#include "absl/status/status.h"

namespace tokenwatch {

// From now on, for every thread of this process: what reading a ring, a spool, gRPC and our own
// HTTP pages need is allowed; what only somebody who took the process over would call kills it
// (another program, another process, the kernel itself, memory that is run); anything else is
// answered with ENOSYS, as by a kernel that does not have it, so that libraries fall back. Needs
// PR_SET_NO_NEW_PRIVS. Unimplemented where the kernel has no seccomp filters.
absl::Status EnforceSeccompFilter();

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_BROKER_SECCOMP_FILTER_H_
