// Where tokens of self-hosted services are at home, learnt from answers.
#ifndef TOKENWATCH_AGENT_TOKEN_FORMATS_HOME_HOSTS_H_
#define TOKENWATCH_AGENT_TOKEN_FORMATS_HOME_HOSTS_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/time/time.h"
#include "agent/token/formats/formats.h"

namespace tokenwatch {

// No table can list the hosts of a service that anybody may run (Format::self_hosted), so that no
// host would be foreign to its tokens. But who takes them again and again is at home: a host that
// answered with success kAnswers times, the first and the last kSettled apart. Once a provider has
// a home every other public host is foreign, until it has been one for kStrange.
//
// In memory only: after a start nothing is known, and nothing is foreign. Holds no secret.
// Not thread safe.
class HomeHosts {
 public:
  static constexpr size_t kAnswers = 3;
  static constexpr absl::Duration kSettled = absl::Hours(1);
  static constexpr absl::Duration kStrange = absl::Hours(24);
  // Hosts of a provider; the one that was not heard of for longest makes room, first one that is
  // no home. Providers are those of the table, and so few.
  static constexpr size_t kHostsMax = 32;

  // An answer to a request with a token of `provider`: whether it was a success. `host` as
  // FormatTable::FitOf has it. `time` may step.
  void Observe(std::string_view provider, std::string_view host, bool ok, absl::Time time);

  // Own: at home there, or below such a host. Foreign: it is at home elsewhere, and `host` is none
  // that may stand for anything. Unknown: all else.
  FormatTable::HostFit Fit(std::string_view provider, std::string_view host) const;

 private:
  struct Host {
    std::string name;
    absl::Time first, last;
    size_t answers = 0;
    bool home = false;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using Hosts = std::vector<Host>;

  std::unordered_map<std::string, Hosts, Hash, std::equal_to<>> providers_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_FORMATS_HOME_HOSTS_H_
