// Notices tokens that a client sends on to a new host because an answer redirected it there.
#ifndef TOKENWATCH_AGENT_TOKEN_ANSWERS_REDIRECTS_H_
#define TOKENWATCH_AGENT_TOKEN_ANSWERS_REDIRECTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "agent/token/token_use.h"

namespace tokenwatch {

// The host that a Location (RFC 9110 section 10.2.2) names, as AsciiHost has it, without port and
// userinfo; empty where it names none. "https:/x" names x, as it does for some clients.
std::string HostOfLocation(std::string_view location);

// Remembers the last few redirects to other hosts. Not thread safe.
class Redirects {
 public:
  // A client follows a redirect at once.
  static constexpr absl::Duration kFollowed = absl::Seconds(30);

  // An answer to a request with the token, to `host`, redirected the process to `to`.
  void Add(const TokenIdBytes& token, uint64_t process, std::string_view host, std::string to,
           absl::Time time);
  // Whether a request with the token, to `host`, does as it was told.
  bool Follows(const TokenIdBytes& token, uint64_t process, std::string_view host,
               absl::Time time) const;

 private:
  static constexpr size_t kKept = 256;
  struct Redirect {
    TokenIdBytes token{};
    uint64_t process = 0;
    std::string to;
    absl::Time time = absl::InfinitePast();
  };
  std::array<Redirect, kKept> redirects_;
  size_t next_ = 0;
  absl::Time newest_ = absl::InfinitePast();
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_ANSWERS_REDIRECTS_H_
