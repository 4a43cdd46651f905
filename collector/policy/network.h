// Networks of IP addresses in CIDR notation (RFC 4632, RFC 4291).
#ifndef TOKENWATCH_COLLECTOR_POLICY_NETWORK_H_
#define TOKENWATCH_COLLECTOR_POLICY_NETWORK_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace tokenwatch {

// IPv4 as IPv4-mapped.
using IpBytes = std::array<uint8_t, 16>;
std::optional<IpBytes> ParseIp(std::string_view text);

class Network {
 public:
  // "10.0.0.0/8", "2001:db8::/32", or one address. InvalidArgument where it is none, or has bits
  // beyond its length.
  static absl::StatusOr<Network> Create(std::string_view text);

  bool Contains(const IpBytes& address) const;
  bool Contains(const Network& other) const {
    return other.bits_ >= bits_ && Contains(other.address_);
  }
  const std::string& text() const { return text_; }

 private:
  Network() = default;

  IpBytes address_{};
  int bits_ = 0;  // of 128
  std::string text_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_POLICY_NETWORK_H_
