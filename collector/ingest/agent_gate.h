// Who may report: what ingest asks before it takes anything in.
#ifndef TOKENWATCH_COLLECTOR_INGEST_AGENT_GATE_H_
#define TOKENWATCH_COLLECTOR_INGEST_AGENT_GATE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace tokenwatch {

// Thread safe. Refusals are sentences for the agent's operator: Unauthenticated, PermissionDenied.
class AgentGate {
 public:
  virtual ~AgentGate() = default;

  // Whether a connection that presented this certificate (PEM; empty: none) may report as `agent`,
  // and until when.
  virtual absl::StatusOr<absl::Time> Admit(std::string_view certificate_pem,
                                           const std::string& agent) = 0;

  // OK where an agent that was admitted may go on. Cheap: asked at every message.
  virtual absl::Status CheckStill(const std::string& agent) = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_INGEST_AGENT_GATE_H_
