// The agent's pages: /healthz, /status and /metrics.
#ifndef TOKENWATCH_AGENT_STATUS_STATUS_PAGES_H_
#define TOKENWATCH_AGENT_STATUS_STATUS_PAGES_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "agent/common/http_server.h"
#include "agent/status/agent_status.h"

namespace tokenwatch {

// Who may connect to a Unix socket of the pages: its owner and root, whatever the umask. Over TCP
// every local user may.
inline constexpr int kStatusSocketMode = 0600;

// Their socket: HOST:PORT, port 0 for any; or unix:PATH, of kStatusSocketMode. May be bound with
// rights that the pages do without.
absl::StatusOr<Listener> ListenForStatus(const std::string& listen);

// Serves them until the server is destroyed. They show no secret and no token id, so they ask for
// no credential. `snapshot` is called on the server's threads; `gave_way` counts as
// HttpServer::Options says.
absl::StatusOr<std::unique_ptr<HttpServer>> ServeStatusPages(Listener listener,
                                                             std::function<AgentStatus()> snapshot,
                                                             std::atomic<uint64_t>* gave_way);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_STATUS_STATUS_PAGES_H_
