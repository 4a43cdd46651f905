// Where the collector listens.
#ifndef TOKENWATCH_AGENT_REPORT_COLLECTOR_ADDRESS_H_
#define TOKENWATCH_AGENT_REPORT_COLLECTOR_ADDRESS_H_

#include <string>

#include "absl/status/statusor.h"

namespace tokenwatch {

// The gRPC target for `HOST:PORT` or `unix:PATH`. HOST is a loopback address or "localhost", which
// is 127.0.0.1 without asking a resolver: connections are plaintext. InvalidArgument, in one
// sentence that says what to write instead, for anything else.
absl::StatusOr<std::string> CollectorTarget(const std::string& address);

// The same for a collector that is spoken to over TLS, which may be anywhere: HOST is a name or a
// numeric address.
absl::StatusOr<std::string> TlsCollectorTarget(const std::string& address);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_COLLECTOR_ADDRESS_H_
