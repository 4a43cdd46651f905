#include "agent/token/formats/home_hosts.h"

#include <algorithm>
#include <utility>

#include "agent/token/formats/host_pattern.h"

namespace tokenwatch {
namespace {

constexpr size_t kNameMax = 255;

bool IsAtOrBelow(std::string_view host, std::string_view home) {
  return host.ends_with(home) &&
         (host.size() == home.size() || host[host.size() - home.size() - 1] == '.');
}

}  // namespace

void HomeHosts::Observe(std::string_view provider, std::string_view host, bool ok,
                        absl::Time time) {
  host = WithoutLastDot(host);
  if (!ok || provider.empty() || host.empty() || host.size() > kNameMax) return;
  auto known = providers_.find(provider);
  if (known == providers_.end()) known = providers_.emplace(provider, Hosts()).first;
  Hosts& hosts = known->second;
  auto one = std::find_if(hosts.begin(), hosts.end(),
                          [host](const Host& candidate) { return candidate.name == host; });
  if (one == hosts.end()) {
    if (hosts.size() == kHostsMax) {
      hosts.erase(std::min_element(hosts.begin(), hosts.end(), [](const Host& a, const Host& b) {
        return std::pair(a.home, a.last) < std::pair(b.home, b.last);
      }));
    }
    one = hosts.insert(hosts.end(), {std::string(host), time, time});
  }
  one->first = std::min(one->first, time);
  one->last = std::max(one->last, time);
  ++one->answers;
  if (one->home || one->answers < kAnswers) return;
  const bool has_home =
      std::any_of(hosts.begin(), hosts.end(), [](const Host& candidate) { return candidate.home; });
  one->home = one->last - one->first >= (has_home ? kStrange : kSettled);
}

FormatTable::HostFit HomeHosts::Fit(std::string_view provider, std::string_view host) const {
  using enum FormatTable::HostFit;
  host = WithoutLastDot(host);
  const auto known = providers_.find(provider);
  if (known == providers_.end() || host.empty()) return kUnknown;
  bool has_home = false;
  for (const Host& one : known->second) {
    if (!one.home) continue;
    if (IsAtOrBelow(host, one.name)) return kOwn;
    has_home = true;
  }
  return has_home && !IsPrivateHost(host) ? kForeign : kUnknown;
}

}  // namespace tokenwatch
