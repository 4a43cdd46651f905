// What a process was found to do TLS with, and what that says of a dark connection.
#ifndef TOKENWATCH_AGENT_CAPTURE_TLS_SIGHT_H_
#define TOKENWATCH_AGENT_CAPTURE_TLS_SIGHT_H_

#include <cstdint>
#include <string>

namespace tokenwatch {

// What was found of a process.
struct TlsSight {
  // It maps a library that is probed, since the later of them had its probes (CLOCK_MONOTONIC).
  bool has_probed = false;
  uint64_t probed_ns = 0;
  bool has_unprobed = false;  // it maps a library that nobody has looked at yet
  // What else it may do TLS with, a word of WhyDark; empty: nothing known.
  std::string other;
};

// Why a connection is dark that began at `begun_ns` (CLOCK_MONOTONIC) in a process of which this
// was found:
//   attached_late       its library got its probes after that, or has none yet
//   gnutls, nss, java   libraries that the process maps
//   go, rustls          found in the executable itself, as is
//   stripped            OpenSSL or BoringSSL without symbols
//   unmatched           its library is probed, but no call was found to use the connection
//   no_known_library    none of these
//   unknown             the process was gone before it was looked at, and its executable tells
//                       nothing
std::string WhyDark(const TlsSight& sight, uint64_t begun_ns);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_TLS_SIGHT_H_
