// Why a TLS connection to the collector fails, in words. gRPC only says that it did.
#ifndef TOKENWATCH_AGENT_REPORT_TLS_PROBE_H_
#define TOKENWATCH_AGENT_REPORT_TLS_PROBE_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "agent/common/address.h"
#include "agent/common/certificate.h"

namespace tokenwatch {

// Connects, does a TLS handshake without believing anything, and returns the certificates that the
// server showed, its own first. Each address of a name has its share of `patience`, so that one
// that does not answer takes none of the others' time; looking the name up comes on top.
// Unavailable where nobody listens; FailedPrecondition where whoever listens does not speak TLS.
absl::StatusOr<std::vector<Certificate>> FetchServerChain(const Address& address,
                                                          absl::Duration patience);
// The same of numeric addresses and paths of one server, of the first that answers.
absl::StatusOr<std::vector<Certificate>> FetchServerChain(absl::Span<const Address> addresses,
                                                          absl::Duration patience);

// What is wrong with the collector's certificate, in one sentence that says what to do; OK where
// nothing is. `collector` is its address as the operator wrote it.
absl::Status JudgeServer(const std::vector<Certificate>& chain, const Certificate& ca,
                         const std::string& host, const std::string& collector, absl::Time now);

// The host name that a collector's certificate must be for: "localhost" for a Unix socket.
std::string NameOf(const Address& address);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_TLS_PROBE_H_
