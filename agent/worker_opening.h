// What the worker opens while it has rights, and its giving them up.
#ifndef TOKENWATCH_AGENT_WORKER_OPENING_H_
#define TOKENWATCH_AGENT_WORKER_OPENING_H_

#include <optional>

#include "absl/status/statusor.h"
#include "agent/agent.h"
#include "agent/broker/broker_watch.h"
#include "agent/broker/confinement.h"
#include "agent/capture/unique_fd.h"
#include "agent/common/listen_socket.h"

namespace tokenwatch {

struct OpenedByWorker {
  UniqueFd spool;  // the directory, this process's working directory as well
  // Where one cannot be had, that is said when it is its turn: another agent's spool comes first.
  // None where not asked for, or where another agent may have it (take_over).
  std::optional<absl::StatusOr<Listener>> fingerprints, status;
  std::optional<BrokerWatch> broker;  // none: degraded "broker-end-unseen"
  WorkerStatus confined;
};

// To be called in the worker while there is one thread. Errors are sentences that say what to do.
absl::StatusOr<OpenedByWorker> OpenAndConfine(const AgentOptions& options);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_WORKER_OPENING_H_
