// Where a server listens: HOST:PORT or unix:PATH.
#ifndef TOKENWATCH_AGENT_COMMON_ADDRESS_H_
#define TOKENWATCH_AGENT_COMMON_ADDRESS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace tokenwatch {

// A Unix socket where `path` is not empty, else TCP.
struct Address {
  std::string host;  // name or numeric address, without brackets
  uint16_t port = 0;
  std::string path;  // absolute

  // The form that ParseAddress reads; IPv6 addresses in brackets.
  std::string ToString() const;
  // A Unix socket, `localhost` or a loopback address: no other machine can reach it.
  bool IsLocal() const;
};

// Reads HOST:PORT, [IPV6]:PORT or unix:PATH (absolute, short enough for sockaddr_un). Port 0 is
// read: it means "any free one" to a listener. The error says which form is wanted.
absl::StatusOr<Address> ParseAddress(const std::string& text);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_ADDRESS_H_
