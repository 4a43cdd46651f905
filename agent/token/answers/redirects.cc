#include "agent/token/answers/redirects.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "agent/token/paths/path.h"

namespace tokenwatch {

std::string HostOfLocation(std::string_view location) {
  const size_t slashes = location.find("//");
  if (slashes == std::string_view::npos) return {};
  // "scheme://" or "//" begins it; anywhere else it is part of a path or query.
  const std::string_view scheme = location.substr(0, slashes);
  if (!scheme.empty() && (scheme.back() != ':' || scheme.find_first_of("/?#") < scheme.size())) {
    return {};
  }
  std::string_view authority = location.substr(slashes + 2);
  authority = authority.substr(0, authority.find_first_of("/?#\\"));
  const size_t userinfo = authority.rfind('@');
  if (userinfo != std::string_view::npos) authority.remove_prefix(userinfo + 1);
  const size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos) {
    authority = authority.substr(0, colon);
  }
  if (authority.size() > kHostMax) return {};
  std::string host(authority);
  absl::AsciiStrToLower(&host);
  return host;
}

void Redirects::Add(const TokenIdBytes& token, uint64_t process, std::string_view host,
                    std::string to, absl::Time time) {
  if (to.empty() || to == host) return;
  redirects_[next_] = {token, process, std::move(to), time};
  next_ = (next_ + 1) % kKept;
  newest_ = std::max(newest_, time);
}

bool Redirects::Follows(const TokenIdBytes& token, uint64_t process, std::string_view host,
                        absl::Time time) const {
  if (time - newest_ > kFollowed) return false;
  return std::any_of(redirects_.begin(), redirects_.end(), [&](const Redirect& redirect) {
    return redirect.process == process && redirect.token == token && redirect.to == host &&
           time - redirect.time <= kFollowed;
  });
}

}  // namespace tokenwatch
