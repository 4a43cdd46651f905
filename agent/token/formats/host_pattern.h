// Patterns of host names: "api.example.com", "*.example.com" (any name below it), and with a '*'
// in or instead of a further label, "bedrock.*.example.com", "db-*.example.com", for one or more
// characters of that label.
#ifndef TOKENWATCH_AGENT_TOKEN_FORMATS_HOST_PATTERN_H_
#define TOKENWATCH_AGENT_TOKEN_FORMATS_HOST_PATTERN_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace tokenwatch {

// InvalidArgument says what is wrong: an empty label, a character that no name has, more than one
// '*' in a label, or a pattern that fits every name or those of a country's companies.
absl::Status CheckHostPattern(std::string_view pattern);

// "api.example." is the same name as "api.example".
inline std::string_view WithoutLastDot(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  return host;
}

// Both in lower case. Linear in the host.
bool HostMatches(std::string_view pattern, std::string_view host);

// A host that may stand for anything: loopback, link-local and private addresses (RFC 1918, RFC
// 4193), also as the C library reads them ("127.1", "0x7f000001"), names without a dot, and those
// below "localhost", "local", which is also where clusters are, "internal", "lan", "home.arpa" and
// "svc". `host` may be bracketed, as an IPv6 address is.
bool IsPrivateHost(std::string_view host);

// Values by host pattern.
class HostIndex {
 public:
  // The pattern has passed CheckHostPattern.
  void Add(std::string_view pattern, uint32_t value);

  // Calls `found` for each value whose pattern matches, in no order.
  void Find(std::string_view host, absl::FunctionRef<void(uint32_t value)> found) const;

 private:
  struct Entry {
    std::string pattern;
    uint32_t value;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  // By the labels behind the last '*' of a pattern: a host's own such endings are few.
  std::unordered_map<std::string, std::vector<Entry>, Hash, std::equal_to<>> by_ending_;
  size_t most_labels_ = 0;  // of an ending of a pattern with a '*'
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_FORMATS_HOST_PATTERN_H_
