// Asks a running agent whether it is well, as `tokenwatch-agent health` does: for probes of a
// container that has no shell and no HTTP client.
#ifndef TOKENWATCH_AGENT_STATUS_HEALTH_CHECK_H_
#define TOKENWATCH_AGENT_STATUS_HEALTH_CHECK_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace tokenwatch {

// `listen` is the agent's --status-listen. Unavailable where nothing listens there, or nothing
// comes, to the end of its first line, within `patience`; FailedPrecondition where /healthz answers
// anything but 200; InvalidArgument where `listen` cannot be read. Blocks.
absl::Status CheckHealth(const std::string& listen, absl::Duration patience);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_STATUS_HEALTH_CHECK_H_
