// TLS connections seen on the wire, and whether their plaintext was seen, as rooms hand it to the
// reporter. Not to be mixed up with Coverage (report_queue.h), which is about time.
#ifndef TOKENWATCH_AGENT_REPORT_TLS_COVERAGE_H_
#define TOKENWATCH_AGENT_REPORT_TLS_COVERAGE_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace tokenwatch {

// One row a kind of program and reason, of one interval. A connection counts once, in the interval
// in which it began.
struct TlsCoverage {
  // Why the plaintext was not seen: "no_known_library", "stripped", "go", "java", "gnutls", "nss",
  // "rustls", "quic", "attached_late", "unmatched", "unknown"; empty: it was seen.
  std::string reason;
  uint64_t connections = 0;  // begun in the interval
  absl::Time since, until;
  uint32_t pid = 0;  // the latest
  std::string comm, exe, container_id, pod, namespace_, unit;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_TLS_COVERAGE_H_
