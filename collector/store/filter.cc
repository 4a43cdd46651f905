#include "collector/store/filter.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "agent/common/duration_text.h"
#include "agent/common/token_id.h"
#include "collector/store/credential_id.h"
#include "collector/store/detection_rules.h"
#include "collector/store/finding_words.h"
#include "collector/store/token_state.h"
#include "collector/store/use_traits.h"
#include "collector/store/user_id.h"

namespace tokenwatch {
namespace {

constexpr uint32_t kDefaultLimit = 100;
constexpr uint32_t kMaxLimit = 10000;
constexpr size_t kMaxFilterBytes = 2048;
constexpr size_t kContainerPrefix = 12;

absl::Status Bad(absl::string_view filter, absl::string_view value, absl::string_view problem,
                 absl::string_view example) {
  return absl::InvalidArgumentError(absl::StrCat(filter, ": \"",
                                                 absl::Utf8SafeCEscape(value.substr(0, 100)), "\" ",
                                                 problem, "; for example ", example));
}

absl::StatusOr<int64_t> ParseBound(absl::string_view filter, const std::string& text,
                                   absl::Time now) {
  if (const std::optional<absl::Duration> back = ParseDurationText(text)) {
    return absl::ToUnixMicros(now - *back);
  }
  // As tables show it, with a blank for the 'T'.
  std::string written = text;
  if (written.size() > 10 && written[10] == ' ') written[10] = 'T';
  absl::Time time;
  std::string error;
  // absl reads words such as "infinite-past" as well, which are no times for a person to give.
  if (!text.empty() && absl::ascii_isdigit(text.front()) &&
      absl::ParseTime(absl::RFC3339_full, written, &time, &error)) {
    return absl::ToUnixMicros(time);
  }
  return Bad(filter, text, "is neither a time nor a duration", "2026-11-22T10:00:00Z or 24h");
}

absl::Status ParseStatus(const std::string& text, Filter* filter) {
  for (const Outcome outcome : {Outcome::kOk, Outcome::kDenied, Outcome::kThrottled,
                                Outcome::kFailed, Outcome::kUnanswered}) {
    if (text == OutcomeName(outcome)) {
      filter->outcome = outcome;
      return absl::OkStatus();
    }
  }
  if (text.size() == 3 && text[0] >= '1' && text[0] <= '9') {
    const uint32_t hundred = static_cast<uint32_t>(text[0] - '0') * 100;
    if (absl::EndsWithIgnoreCase(text, "xx")) {
      filter->status_low = hundred;
      filter->status_high = hundred + 99;
      return absl::OkStatus();
    }
    uint32_t code = 0;
    if (absl::ascii_isdigit(text[1]) && absl::ascii_isdigit(text[2]) &&
        absl::SimpleAtoi(text, &code)) {
      filter->status_low = filter->status_high = code;
      return absl::OkStatus();
    }
  }
  return Bad("status", text, "is no status, class or outcome",
             "403, 4xx, ok, denied, throttled, failed or unanswered");
}

absl::Status ParseTrait(absl::string_view text, Filter* filter) {
  std::vector<absl::string_view> words;
  for (const UseTraitRow& row : kUseTraits) {
    if (text == row.word) filter->trait = row.bit;
    words.push_back(row.word);
  }
  if (filter->trait != 0) return absl::OkStatus();
  return Bad("trait", text, "is nothing that a use may be", absl::StrJoin(words, ", "));
}

absl::Status ParseEndpoint(absl::string_view text, Filter* filter) {
  absl::string_view pattern = text;
  if (const size_t space = text.find(' '); space != absl::string_view::npos) {
    const absl::string_view method = text.substr(0, space);
    pattern = absl::StripAsciiWhitespace(text.substr(space + 1));
    if (method.empty() || pattern.empty() || absl::StrContains(pattern, " ")) {
      return Bad("endpoint", text, "is not METHOD host/path", "\"GET api.example.com/v1/*\"");
    }
    filter->method = absl::AsciiStrToUpper(method);
  }
  // As tables show it, with the scheme, which is no part of a resource.
  if (!absl::ConsumePrefix(&pattern, "https://")) absl::ConsumePrefix(&pattern, "http://");
  if (pattern.empty()) {
    return Bad("endpoint", text, "names no host", "\"GET api.example.com/v1/*\"");
  }
  filter->endpoint = std::string(pattern);
  // A host alone means all of it.
  if (!absl::StrContains(pattern, "/") && !absl::StrContains(pattern, "*")) {
    filter->endpoint += "/*";
  }
  return absl::OkStatus();
}

absl::Status ParseRule(const std::string& text, Filter* filter) {
  if (!IsDetectionRule(text)) {
    const auto print = [](std::string* out, std::string_view rule) { out->append(rule); };
    return Bad("rule", text, "is no rule of detection",
               absl::StrJoin(kDetectionRules, ", ", print));
  }
  filter->rule = text;
  return absl::OkStatus();
}

absl::Status ParseSeverity(const std::string& text, Filter* filter) {
  const std::optional<uint32_t> rank = SeverityRank(text);
  if (!rank) return Bad("severity", text, "is no severity", absl::StrJoin(kSeverities, ", "));
  filter->severity = *rank;
  return absl::OkStatus();
}

absl::Status ParseState(const std::string& text, Filter* filter) {
  if (!IsTokenState(text) && text != kFindingOpen && text != kFindingSuppressed &&
      text != kFindingClosed) {
    return Bad("state", text, "is no state",
               absl::StrCat(absl::StrJoin(kTokenStates, ", "), " of a token, ", kFindingOpen, ", ",
                            kFindingSuppressed, ", ", kFindingClosed, " of a finding"));
  }
  filter->state = text;
  return absl::OkStatus();
}

// Whether `text` matches a pattern in which '*' stands for any run of characters.
bool Glob(absl::string_view pattern, absl::string_view text) {
  size_t p = 0;
  size_t t = 0;
  size_t star = absl::string_view::npos;
  size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != absl::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

absl::string_view LastPart(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

// FNV-1a over the fields, each ended by a byte that no UTF-8 text holds.
uint64_t Fingerprint(const v1::ListRequest& request) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const std::string* field :
       {&request.since(), &request.until(), &request.token(), &request.host(), &request.provider(),
        &request.workload(), &request.endpoint(), &request.status(), &request.direction(),
        &request.trait(), &request.user(), &request.owner(), &request.rule(), &request.severity(),
        &request.state()}) {
    for (const char c : *field) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    hash = (hash ^ 0xff) * 0x100000001b3;
  }
  return hash;
}

}  // namespace

absl::StatusOr<Filter> ParseFilter(const v1::ListRequest& request, absl::Time now) {
  Filter filter;
  filter.fingerprint = Fingerprint(request);
  filter.now_us = absl::ToUnixMicros(now);
  const std::pair<absl::string_view, const std::string*> texts[] = {
      {"since", &request.since()},         {"until", &request.until()},
      {"token", &request.token()},         {"host", &request.host()},
      {"provider", &request.provider()},   {"workload", &request.workload()},
      {"endpoint", &request.endpoint()},   {"status", &request.status()},
      {"direction", &request.direction()}, {"trait", &request.trait()},
      {"user", &request.user()},           {"owner", &request.owner()},
      {"rule", &request.rule()},           {"severity", &request.severity()},
      {"state", &request.state()}};
  for (const auto& [name, text] : texts) {
    if (text->size() > kMaxFilterBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": at most ", kMaxFilterBytes, " bytes"));
    }
  }
  if (!request.since().empty()) {
    const absl::StatusOr<int64_t> bound = ParseBound("since", request.since(), now);
    if (!bound.ok()) return bound.status();
    filter.since_us = *bound;
  }
  if (!request.until().empty()) {
    const absl::StatusOr<int64_t> bound = ParseBound("until", request.until(), now);
    if (!bound.ok()) return bound.status();
    filter.until_us = *bound;
  }
  if (filter.since_us > filter.until_us) {
    return absl::InvalidArgumentError(
        "since: lies after until; for example since=24h and until=1h");
  }
  if (!request.token().empty()) {
    std::array<uint8_t, 16> id{};
    if (ParseTokenIdText(request.token(), &id)) {
      filter.token = id;
    } else if (ParseCredentialIdText(request.token(), &id)) {
      filter.credential = id;
    } else {
      return Bad("token", request.token(), "is no token id and no credential's",
                 "tok_35602yf42tr1pnyk1wrynxw9gd");
    }
  }
  if (!request.user().empty() && !ParseUserIdText(request.user(), &filter.user.emplace())) {
    return Bad("user", request.user(), "is no user's id", "usr_35602yf42tr1pnyk1wrynxw9gd");
  }
  filter.coverage = request.coverage();
  filter.host = request.host();
  filter.provider = request.provider();
  filter.workload = request.workload();
  filter.owner = request.owner();
  if (!request.rule().empty()) {
    if (absl::Status status = ParseRule(request.rule(), &filter); !status.ok()) return status;
  }
  if (!request.severity().empty()) {
    if (absl::Status status = ParseSeverity(request.severity(), &filter); !status.ok()) {
      return status;
    }
  }
  if (!request.state().empty()) {
    if (absl::Status status = ParseState(request.state(), &filter); !status.ok()) return status;
  }
  if (!request.endpoint().empty()) {
    if (absl::Status status = ParseEndpoint(request.endpoint(), &filter); !status.ok()) {
      return status;
    }
  }
  if (!request.status().empty()) {
    if (absl::Status status = ParseStatus(request.status(), &filter); !status.ok()) return status;
  }
  if (!request.direction().empty()) {
    filter.inbound = request.direction() == "inbound";
    if (!*filter.inbound && request.direction() != "outbound") {
      return Bad("direction", request.direction(), "is no direction", "outbound or inbound");
    }
  }
  if (!request.trait().empty()) {
    if (absl::Status status = ParseTrait(request.trait(), &filter); !status.ok()) return status;
  }
  if (request.limit() > kMaxLimit) {
    return absl::InvalidArgumentError(
        absl::StrCat("limit: ", request.limit(), " is more than ", kMaxLimit,
                     "; take pages with page_token, for example of 1000"));
  }
  filter.limit = request.limit() == 0 ? kDefaultLimit : request.limit();
  return filter;
}

absl::Status RefuseFilters(const v1::ListRequest& request, absl::Span<const char* const> names,
                           absl::string_view what, absl::string_view example) {
  for (const char* name : names) {
    const auto* field = v1::ListRequest::descriptor()->FindFieldByName(name);
    if (request.GetReflection()->GetString(request, field).empty()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": does not choose among ", what, "; for example ", example));
  }
  return absl::OkStatus();
}

bool MatchesStatus(const Filter& filter, uint32_t code) {
  const uint32_t status = HttpStatusOf(code);
  if (status < filter.status_low || status > filter.status_high) return false;
  return !filter.outcome.has_value() || Classify(code) == *filter.outcome;
}

bool MatchesHost(const Filter& filter, absl::string_view requested, absl::string_view machine) {
  if (filter.host.empty()) return true;
  if (absl::EqualsIgnoreCase(requested, filter.host) ||
      absl::EqualsIgnoreCase(machine, filter.host)) {
    return true;
  }
  return requested.size() > filter.host.size() && requested[filter.host.size()] == ':' &&
         requested.find(':', filter.host.size() + 1) == absl::string_view::npos &&
         absl::StartsWithIgnoreCase(requested, filter.host);
}

bool MatchesDirection(const Filter& filter, bool inbound) {
  return filter.inbound.value_or(inbound) == inbound;
}

bool MatchesTrait(const Filter& filter, uint32_t traits) {
  return (traits & filter.trait) == filter.trait;
}

bool MatchesProvider(const Filter& filter, absl::string_view provider) {
  return filter.provider.empty() || absl::EqualsIgnoreCase(provider, filter.provider);
}

bool MatchesEndpoint(const Filter& filter, absl::string_view method, absl::string_view host,
                     absl::string_view path) {
  if (!filter.method.empty() && !absl::EqualsIgnoreCase(method, filter.method)) return false;
  if (filter.endpoint.empty()) return true;
  return Glob(filter.endpoint, absl::StrCat(host, path));
}

bool MatchesWorkload(const Filter& filter, const WorkloadNames& names) {
  const absl::string_view wanted = filter.workload;
  if (wanted.empty()) return true;
  for (const absl::string_view name :
       {names.comm, names.exe, names.script, names.unit, names.container_id, names.user,
        names.container_name, names.image, names.pod, names.name_space, names.service_account}) {
    if (name == wanted) return true;
  }
  for (const absl::string_view path : {names.exe, names.script, names.image}) {
    if (LastPart(path) == wanted) return true;
  }
  if (!names.pod.empty() && absl::StrCat(names.name_space, "/", names.pod) == wanted) return true;
  return wanted.size() >= kContainerPrefix && absl::StartsWith(names.container_id, wanted);
}

}  // namespace tokenwatch
