#include "agent/token/answers/redirects.h"

#include <algorithm>
#include <utility>

#include "agent/token/answers/host_text.h"
#include "agent/token/paths/path.h"

namespace tokenwatch {
namespace {

// "a.example." is "a.example" of the root.
std::string_view WithoutRoot(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  return host;
}

}  // namespace

std::string HostOfLocation(std::string_view location) {
  constexpr std::string_view kSlashes = "/\\";
  // "scheme:" or slashes begin it; anywhere else they are part of a path or query.
  const size_t scheme = location.find_first_of(":/\\?#");
  const bool has_scheme = scheme != std::string_view::npos && location[scheme] == ':';
  if (has_scheme) location.remove_prefix(scheme + 1);
  // Clients forgive slashes that lean the other way, and one that is missing.
  const size_t slashes = std::min(location.find_first_not_of(kSlashes), location.size());
  if (slashes < (has_scheme ? 1 : 2)) return {};
  std::string_view authority = location.substr(slashes);
  authority = authority.substr(0, authority.find_first_of("/?#\\"));
  const size_t userinfo = authority.rfind('@');
  if (userinfo != std::string_view::npos) authority.remove_prefix(userinfo + 1);
  const size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos) {
    authority = authority.substr(0, colon);
  }
  if (authority.size() > kHostMax) return {};
  return AsciiHost(authority);
}

void Redirects::Add(const TokenIdBytes& token, uint64_t process, std::string_view host,
                    std::string to, absl::Time time) {
  if (to.empty() || to == WithoutRoot(host)) return;
  redirects_[next_] = {token, process, std::move(to), time};
  next_ = (next_ + 1) % kKept;
  newest_ = std::max(newest_, time);
}

bool Redirects::Follows(const TokenIdBytes& token, uint64_t process, std::string_view host,
                        absl::Time time) const {
  if (time - newest_ > kFollowed) return false;
  host = WithoutRoot(host);
  return std::any_of(redirects_.begin(), redirects_.end(), [&](const Redirect& redirect) {
    return redirect.process == process && redirect.token == token && redirect.to == host &&
           time - redirect.time <= kFollowed;
  });
}

}  // namespace tokenwatch
