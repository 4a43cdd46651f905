// A v1::ListRequest, read once and ready to compare. Shared by every store.
#ifndef TOKENWATCH_COLLECTOR_STORE_FILTER_H_
#define TOKENWATCH_COLLECTOR_STORE_FILTER_H_

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "collector/store/outcome.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

// A bound that is not set. Every time of a use lies between the two.
inline constexpr int64_t kNoSince = std::numeric_limits<int64_t>::min();
inline constexpr int64_t kNoUntil = std::numeric_limits<int64_t>::max();

// As the filter `owner`: what nobody owns.
inline constexpr char kNoOwner[] = "none";

// Text fields are empty where the request does not filter by them.
struct Filter {
  int64_t since_us = kNoSince;                   // inclusive
  int64_t until_us = kNoUntil;                   // exclusive
  std::optional<std::array<uint8_t, 16>> token;  // never together with `credential`
  std::optional<std::array<uint8_t, 16>> credential;
  std::string host;
  std::string provider;
  std::string workload;
  std::string owner;     // under the policy in force; kNoOwner: nobody
  std::string method;    // of `endpoint`, upper case; empty: any
  std::string endpoint;  // of `endpoint`, a pattern over "host/path" in which '*' is any run
  std::optional<Outcome> outcome;
  std::optional<bool> inbound;  // without it, totals are of outbound uses and lists of all
  uint32_t trait = 0;           // a v1::UseTrait that uses have
  std::optional<std::array<uint8_t, 16>> user;  // of single uses: Use.user_id
  uint32_t status_low = 0;                      // inclusive, both
  uint32_t status_high = std::numeric_limits<uint32_t>::max();
  uint32_t limit = 0;
  bool coverage = false;  // of agents: TLS coverage by program is asked for
  std::string rule;       // of findings
  uint32_t severity = 0;  // of findings: at least, as a SeverityRank (finding_words.h)
  std::string state;      // of tokens or findings
  int64_t now_us = 0;     // when it was asked
  // Equal for requests with the same filters, whatever the page or its size.
  uint64_t fingerprint = 0;

  bool HasTime() const { return since_us != kNoSince || until_us != kNoUntil; }
  bool HasStatus() const {
    return outcome.has_value() || status_low != 0 ||
           status_high != std::numeric_limits<uint32_t>::max();
  }
  // Whether program or resource matter, as direction and traits are the resource's.
  bool HasPlace() const {
    return !host.empty() || !provider.empty() || !workload.empty() || !method.empty() ||
           !endpoint.empty() || inbound.has_value() || trait != 0;
  }
};

// Reads a request's filters; `page_token` is left alone. InvalidArgument names the filter that
// cannot be read and gives an example.
absl::StatusOr<Filter> ParseFilter(const v1::ListRequest& request, absl::Time now);

// InvalidArgument where the request has one of these filters, named as in v1.ListRequest, which do
// not choose among `what`. `example`: filters that do.
absl::Status RefuseFilters(const v1::ListRequest& request, absl::Span<const char* const> names,
                           absl::string_view what, absl::string_view example);

// `code` is an AnswerCode (outcome.h).
bool MatchesStatus(const Filter& filter, uint32_t code);

// `requested` is the host that a request names, with its port where that is not the default one; a
// filter without a port matches any. Names compare without regard to case.
bool MatchesHost(const Filter& filter, absl::string_view requested, absl::string_view machine);
bool MatchesDirection(const Filter& filter, bool inbound);
bool MatchesTrait(const Filter& filter, uint32_t traits);
bool MatchesProvider(const Filter& filter, absl::string_view provider);
bool MatchesEndpoint(const Filter& filter, absl::string_view method, absl::string_view host,
                     absl::string_view path);

// What a workload filter is compared with.
struct WorkloadNames {
  absl::string_view comm, exe, script, unit, container_id, user;
  absl::string_view container_name, image, pod, name_space, service_account;
};
// Equal to one of the names, to "namespace/pod", to the last part of an executable's, script's or
// image's path, or to the first 12 or more digits of a container id.
bool MatchesWorkload(const Filter& filter, const WorkloadNames& names);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_FILTER_H_
