// The agent's pages: /healthz, /status and /metrics.
#ifndef TOKENWATCH_AGENT_STATUS_STATUS_PAGES_H_
#define TOKENWATCH_AGENT_STATUS_STATUS_PAGES_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "agent/common/http_server.h"
#include "agent/status/agent_status.h"

namespace tokenwatch {

// Serves them on `listen` (HOST:PORT, port 0 for any; or unix:PATH) until the server is destroyed.
// They show no secret and no token id, so they ask for no credential. `snapshot` is called on the
// server's threads.
absl::StatusOr<std::unique_ptr<HttpServer>> ServeStatusPages(const std::string& listen,
                                                             std::function<AgentStatus()> snapshot);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_STATUS_STATUS_PAGES_H_
