// What an agent does after it has handed over to one that it did not start itself.
#ifndef TOKENWATCH_AGENT_HANDOVER_STANDBY_H_
#define TOKENWATCH_AGENT_HANDOVER_STANDBY_H_

#include <atomic>
#include <string>

#include "absl/functional/function_ref.h"

namespace tokenwatch {

// Waits until `*stop` is set, which answers false, or until nobody holds the lock of
// `spool_directory` any more, or there is none that could be read, which answers true: then nobody
// watches that is known of, and this agent should again, or say what keeps it. `each_turn` is
// called about once a second.
//
// To exit instead would be wrong where a supervisor runs both: Kubernetes starts a container that
// exits anew, and the old version would take over from the new one. Meanwhile /healthz is served on
// `status_listen` (empty: nowhere), if the successor leaves that free.
bool StandBy(const std::string& spool_directory, const std::string& status_listen,
             const std::atomic<bool>& stop, absl::FunctionRef<void()> each_turn);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HANDOVER_STANDBY_H_
