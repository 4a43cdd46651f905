// Who may report: what ingest asks before it takes anything in.
#ifndef TOKENWATCH_COLLECTOR_INGEST_AGENT_GATE_H_
#define TOKENWATCH_COLLECTOR_INGEST_AGENT_GATE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace tokenwatch {

// Who a connection is, by the certificate that it presented.
struct AdmittedAgent {
  std::string id;
  std::string key_sha256;                     // of the certificate's public key
  absl::Time until = absl::InfiniteFuture();  // the certificate's end
};

// OK where `agent`, as a peer calls itself, is the one that was admitted; else PermissionDenied
// with a sentence.
absl::Status CheckName(const AdmittedAgent& admitted, const std::string& agent);

// Thread safe. Refusals are sentences for the agent's operator: Unauthenticated, PermissionDenied.
class AgentGate {
 public:
  virtual ~AgentGate() = default;

  // Whether a connection that presented this certificate (PEM; empty: none) may report, and as
  // whom.
  virtual absl::StatusOr<AdmittedAgent> Admit(std::string_view certificate_pem) = 0;

  // OK where an agent that was admitted may go on: its id is enrolled still, with the same key, and
  // not revoked. Cheap: asked at every message.
  virtual absl::Status CheckStill(const AdmittedAgent& agent) = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_INGEST_AGENT_GATE_H_
