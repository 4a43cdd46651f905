#include "collector/store/finding_filter.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "collector/store/credential_id.h"
#include "collector/store/finding_words.h"
#include "collector/store/token_state.h"

namespace tokenwatch {
namespace {

constexpr size_t kMaxBaselineName = 512;

std::string Bytes(const std::array<uint8_t, 16>& id) { return {id.begin(), id.end()}; }

// A workload's names are those of its uses.
bool MatchesWorkloadOf(const Filter& filter, const v1::Finding& finding) {
  if (filter.workload.empty()) return true;
  WorkloadNames whole;
  whole.script = finding.workload();
  if (MatchesWorkload(filter, whole)) return true;
  return std::any_of(finding.evidence().begin(), finding.evidence().end(),
                     [&filter](const v1::Use& use) {
                       const v1::Workload& who = use.workload();
                       return MatchesWorkload(filter, {.comm = who.comm(),
                                                       .exe = who.exe(),
                                                       .script = who.script(),
                                                       .unit = who.unit(),
                                                       .container_id = who.container_id(),
                                                       .user = who.user(),
                                                       .container_name = who.container_name(),
                                                       .image = who.image(),
                                                       .pod = who.pod(),
                                                       .name_space = who.namespace_(),
                                                       .service_account = who.service_account()});
                     });
}

absl::Status CheckFinding(const v1::Finding& finding) {
  std::array<uint8_t, 16> id{};
  if (!ParseFindingIdText(finding.finding_id(), &id)) {
    return absl::InvalidArgumentError(
        absl::StrCat("a finding whose id is \"", finding.finding_id(), "\""));
  }
  if (!SeverityRank(finding.severity())) {
    return absl::InvalidArgumentError(
        absl::StrCat("a finding whose severity is \"", finding.severity(), "\""));
  }
  for (const char* state : {kFindingOpen, kFindingSuppressed, kFindingClosed}) {
    if (finding.state() == state) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("a finding whose state is \"", finding.state(), "\""));
}

}  // namespace

absl::Status CheckDetectionCommit(const DetectionCommit& commit) {
  for (const StoredFinding& stored : commit.findings) {
    if (absl::Status status = CheckFinding(stored.finding); !status.ok()) return status;
  }
  for (const StoredBaseline& baseline : commit.baselines) {
    if (baseline.name.empty() || baseline.name.size() > kMaxBaselineName) {
      return absl::InvalidArgumentError(absl::StrCat("a baseline whose name has ",
                                                     baseline.name.size(), " bytes, not 1 to ",
                                                     kMaxBaselineName));
    }
  }
  for (const Delivery& delivery : commit.deliveries) {
    if (delivery.receiver.empty() || delivery.key.empty()) {
      return absl::InvalidArgumentError("a delivery without receiver or key");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckFindingFilters(const v1::ListRequest& request) {
  if (absl::Status status =
          RefuseFilters(request, {"endpoint", "status", "direction", "trait", "user"}, "findings",
                        "severity=high or since=1h does");
      !status.ok()) {
    return status;
  }
  if (IsTokenState(request.state())) {
    return absl::InvalidArgumentError(
        absl::StrCat("state: \"", request.state(), "\" is no state of a finding; for example ",
                     kFindingOpen, ", ", kFindingSuppressed, " or ", kFindingClosed));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadFindingId(const std::string& text) {
  std::array<uint8_t, 16> id{};
  if (ParseFindingIdText(text, &id)) return Bytes(id);
  return absl::InvalidArgumentError(
      absl::StrCat("finding: \"", absl::Utf8SafeCEscape(text.substr(0, 100)),
                   "\" is no finding's id; for example fnd_35602yf42tr1pnyk1wrynxw9gd"));
}

absl::Status NoSuchFinding(const std::string& finding_id) {
  return absl::NotFoundError(absl::StrCat("there is no finding ", finding_id));
}

absl::Status NoSuchCount(const std::string& by) {
  return absl::InvalidArgumentError(absl::StrCat(
      "findings are not counted by \"", by, "\", but by owner, policy_rule, rule or severity"));
}

int64_t LastSeenMicros(const v1::Finding& finding) {
  return finding.last_seen().seconds() * 1'000'000 + finding.last_seen().nanos() / 1000;
}

const char* FindingState(absl::string_view stored, int64_t last_seen_us, int64_t now_us) {
  if (last_seen_us < now_us - kFindingOpenMicros) return kFindingClosed;
  if (stored == kFindingOpen) return kFindingOpen;
  return stored == kFindingSuppressed ? kFindingSuppressed : kFindingClosed;
}

absl::btree_set<std::string> FindingSubjects(const v1::Finding& finding) {
  absl::btree_set<std::string> subjects;
  const auto add = [&subjects](const std::string& token, const std::string& credential) {
    std::array<uint8_t, 16> id{};
    if (ParseTokenIdText(token, &id)) subjects.insert(Bytes(id));
    if (ParseCredentialIdText(credential, &id)) subjects.insert(Bytes(id));
  };
  add(finding.token_id(), finding.credential_id());
  for (const v1::Use& use : finding.evidence()) add(use.token_id(), use.credential_id());
  return subjects;
}

bool MatchesOwner(const Filter& filter, absl::string_view owner) {
  if (filter.owner.empty()) return true;
  return filter.owner == kNoOwner ? owner.empty() : owner == filter.owner;
}

bool MatchesFinding(const Filter& filter, const v1::Finding& finding) {
  const int64_t last_seen_us = LastSeenMicros(finding);
  if (last_seen_us < filter.since_us || last_seen_us >= filter.until_us) return false;
  if (!filter.rule.empty() && finding.rule() != filter.rule) return false;
  if (SeverityRank(finding.severity()).value_or(0) < filter.severity) return false;
  if (!filter.state.empty() && finding.state() != filter.state) return false;
  if (!MatchesOwner(filter, finding.owner()) || !MatchesProvider(filter, finding.provider())) {
    return false;
  }
  if (!MatchesWorkloadOf(filter, finding)) return false;
  return filter.host.empty() ||
         std::any_of(finding.evidence().begin(), finding.evidence().end(),
                     [&filter](const v1::Use& use) {
                       return MatchesHost(filter, use.host(), use.workload().host());
                     });
}

}  // namespace tokenwatch
