// The worker gives up everything that it does not need.
#ifndef TOKENWATCH_AGENT_BROKER_CONFINEMENT_H_
#define TOKENWATCH_AGENT_BROKER_CONFINEMENT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/broker/landlock.h"
#include "agent/broker/worker_user.h"

namespace tokenwatch {

// As it is, asked from the kernel.
struct WorkerStatus {
  uint32_t pid = 0;
  std::string user;
  uint32_t uid = 0;
  std::string capabilities;  // "none", or what is left
  bool no_new_privileges = false;
  bool seccomp = false;
  int landlock = 0;                   // ABI of the kernel in force; 0: not confined by it
  std::vector<std::string> degraded;  // each a mode's name and a sentence
};

// Makes this process the user's, without capabilities, unable to get any, in no core dump, bound to
// its parent's life (DieWithBroker), confined by `landlock` and by the seccomp filter; in this
// order, since each takes away what the one before it needs. What the kernel lacks is named in
// `degraded`. To be called while there is one thread, by a process that dies with its parent
// already.
absl::StatusOr<WorkerStatus> Confine(const WorkerUser& user, const LandlockOptions& landlock);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_BROKER_CONFINEMENT_H_
