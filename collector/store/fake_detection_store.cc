#include "collector/store/fake_detection_store.h"

#include <algorithm>
#include <iterator>

#include "collector/store/filter.h"
#include "collector/store/finding_filter.h"
#include "collector/store/finding_words.h"
#include "collector/store/page_token.h"

namespace tokenwatch {

void FakeDetectionStore::AddUses(std::vector<CommittedUse>* uses) {
  const absl::MutexLock lock(&mutex_);
  for (CommittedUse& use : *uses) {
    use.number = uses_.size() + 1;
    uses_.push_back(use);
  }
}

void FakeDetectionStore::AddFacts(absl::Span<const TokenFactRow> facts) {
  const absl::MutexLock lock(&mutex_);
  AddFactsLocked(facts);
}

void FakeDetectionStore::AddFactsLocked(absl::Span<const TokenFactRow> facts) {
  for (const TokenFactRow& fact : facts) {
    const auto [kept, added] = facts_.try_emplace({fact.token->ids, fact.name, fact.value}, fact);
    if (!added) kept->second.time_us = std::max(kept->second.time_us, fact.time_us);
  }
}

void FakeDetectionStore::FailWith(absl::Status status) {
  const absl::MutexLock lock(&mutex_);
  failure_ = std::move(status);
}

std::vector<StoredFinding> FakeDetectionStore::findings() const {
  const absl::MutexLock lock(&mutex_);
  std::vector<StoredFinding> findings;
  for (const auto& [id, kept] : findings_) findings.push_back(kept.stored);
  return findings;
}

std::map<std::string, std::string> FakeDetectionStore::baselines() const {
  const absl::MutexLock lock(&mutex_);
  return baselines_;
}

std::vector<Delivery> FakeDetectionStore::deliveries() const {
  const absl::MutexLock lock(&mutex_);
  std::vector<Delivery> deliveries;
  for (const auto& [id, delivery] : deliveries_) deliveries.push_back(delivery);
  return deliveries;
}

size_t FakeDetectionStore::commits() const {
  const absl::MutexLock lock(&mutex_);
  return commits_;
}

absl::Status FakeDetectionStore::CommitDetection(const DetectionCommit& commit) {
  if (absl::Status status = CheckDetectionCommit(commit); !status.ok()) return status;
  const absl::MutexLock lock(&mutex_);
  if (!failure_.ok()) return failure_;
  ++commits_;
  for (const StoredFinding& stored : commit.findings) {
    Kept& kept = findings_[*ReadFindingId(stored.finding.finding_id())];
    if (kept.row == 0) kept.row = next_row_++;
    kept.stored = stored;
  }
  for (const StoredBaseline& baseline : commit.baselines) {
    if (baseline.bytes.empty()) {
      baselines_.erase(baseline.name);
    } else {
      baselines_[baseline.name] = baseline.bytes;
    }
  }
  judged_ = commit.judged.value_or(judged_);
  for (const Delivery& delivery : commit.deliveries) {
    const bool waits =
        std::any_of(deliveries_.begin(), deliveries_.end(), [&delivery](const auto& entry) {
          return entry.second.receiver == delivery.receiver && entry.second.key == delivery.key;
        });
    if (waits) continue;
    Delivery& added = deliveries_[next_delivery_] = delivery;
    added.id = next_delivery_++;
  }
  AddFactsLocked(commit.facts);
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> FakeDetectionStore::Judged() {
  const absl::MutexLock lock(&mutex_);
  return judged_;
}

absl::Status FakeDetectionStore::ForEachBaseline(
    const std::function<void(std::string_view name, std::string_view bytes)>& take) {
  for (const auto& [name, bytes] : baselines()) take(name, bytes);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<StoredFinding>> FakeDetectionStore::FindingsSince(int64_t last_seen_us) {
  std::vector<StoredFinding> since;
  for (StoredFinding& stored : findings()) {
    if (LastSeenMicros(stored.finding) >= last_seen_us) since.push_back(std::move(stored));
  }
  return since;
}

absl::StatusOr<std::vector<CommittedUse>> FakeDetectionStore::UsesSince(uint64_t* number,
                                                                        size_t limit) {
  const absl::MutexLock lock(&mutex_);
  std::vector<CommittedUse> uses;
  while (*number < uses_.size() && uses.size() < limit) uses.push_back(uses_[(*number)++]);
  return uses;
}

uint64_t FakeDetectionStore::LastUse() const {
  const absl::MutexLock lock(&mutex_);
  return uses_.size();
}

absl::Status FakeDetectionStore::ForEachFact(absl::Span<const std::string_view> names,
                                             const std::function<void(const TokenFactRow&)>& take) {
  std::vector<TokenFactRow> facts;
  {
    const absl::MutexLock lock(&mutex_);
    for (const auto& [key, fact] : facts_) facts.push_back(fact);
  }
  for (const TokenFactRow& fact : facts) {
    if (std::find(names.begin(), names.end(), fact.name) != names.end()) take(fact);
  }
  return absl::OkStatus();
}

v1::Finding FakeDetectionStore::AsOfNow(const v1::Finding& finding) const {
  v1::Finding told = finding;
  told.set_state(
      FindingState(finding.state(), LastSeenMicros(finding), absl::ToUnixMicros(now_())));
  return told;
}

absl::StatusOr<v1::ListFindingsResponse> FakeDetectionStore::ListFindings(
    const v1::ListRequest& request) {
  if (absl::Status status = CheckFindingFilters(request); !status.ok()) return status;
  absl::StatusOr<Filter> filter = ParseFilter(request, now_());
  if (!filter.ok()) return filter.status();
  PagePosition before = {.time_us = kNoUntil, .row = kNoUntil};
  if (!request.page_token().empty()) {
    const absl::StatusOr<PagePosition> read =
        ReadPageToken(ListKind::kFindings, filter->fingerprint, request.page_token());
    if (!read.ok()) return read.status();
    before = *read;
    filter->since_us = before.since_us;
    filter->until_us = before.until_us;
  }
  std::map<std::pair<int64_t, int64_t>, v1::Finding> found;  // by last seen and row
  {
    const absl::MutexLock lock(&mutex_);
    for (const auto& [id, kept] : findings_) {
      v1::Finding finding = AsOfNow(kept.stored.finding);
      const std::pair<int64_t, int64_t> order = {LastSeenMicros(finding), kept.row};
      if (order >= std::make_pair(before.time_us, before.row)) continue;
      if (!MatchesFinding(*filter, finding)) continue;
      if (filter->token || filter->credential) {
        const auto& subject = filter->token ? *filter->token : *filter->credential;
        if (!FindingSubjects(finding).contains({subject.begin(), subject.end()})) continue;
      }
      found[order] = std::move(finding);
    }
  }
  v1::ListFindingsResponse response;
  PagePosition last = {.since_us = filter->since_us, .until_us = filter->until_us};
  size_t bytes = 0;
  for (auto at = found.rbegin(); at != found.rend(); ++at) {
    bytes += at->second.ByteSizeLong();
    if (static_cast<uint32_t>(response.findings_size()) == filter->limit ||
        (bytes > kFindingPageBytes && response.findings_size() > 0)) {
      response.set_next_page_token(WritePageToken(ListKind::kFindings, filter->fingerprint, last));
      break;
    }
    *response.add_findings() = at->second;
    last.time_us = at->first.first;
    last.row = at->first.second;
  }
  return response;
}

absl::StatusOr<v1::Finding> FakeDetectionStore::GetFinding(const std::string& finding_id) {
  const absl::StatusOr<std::string> id = ReadFindingId(finding_id);
  if (!id.ok()) return id.status();
  const absl::MutexLock lock(&mutex_);
  const auto found = findings_.find(*id);
  if (found == findings_.end()) return NoSuchFinding(finding_id);
  return AsOfNow(found->second.stored.finding);
}

absl::StatusOr<std::vector<std::pair<std::string, uint64_t>>> FakeDetectionStore::CountOpenFindings(
    const std::string& by) {
  constexpr std::pair<const char*, const std::string& (v1::Finding::*)() const> kColumns[] = {
      {"owner", &v1::Finding::owner},
      {"policy_rule", &v1::Finding::policy_rule},
      {"rule", &v1::Finding::rule},
      {"severity", &v1::Finding::severity}};
  for (const auto& [name, column] : kColumns) {
    if (by != name) continue;
    std::map<std::string, uint64_t> counts;
    for (const StoredFinding& stored : findings()) {
      if (AsOfNow(stored.finding).state() == kFindingOpen) ++counts[(stored.finding.*column)()];
    }
    return std::vector<std::pair<std::string, uint64_t>>(counts.begin(), counts.end());
  }
  return NoSuchCount(by);
}

absl::StatusOr<std::vector<Delivery>> FakeDetectionStore::DueDeliveries(const std::string& receiver,
                                                                        int64_t now_us,
                                                                        size_t limit) {
  std::vector<Delivery> due;
  for (Delivery& delivery : deliveries()) {
    if (delivery.receiver != receiver || delivery.due_us > now_us || due.size() >= limit) continue;
    due.push_back(std::move(delivery));
  }
  return due;
}

absl::Status FakeDetectionStore::FinishDeliveries(absl::Span<const DeliveryOutcome> outcomes) {
  const absl::MutexLock lock(&mutex_);
  if (!failure_.ok()) return failure_;
  for (const DeliveryOutcome& outcome : outcomes) {
    const auto found = deliveries_.find(outcome.id);
    if (found == deliveries_.end()) continue;
    if (outcome.done) {
      deliveries_.erase(found);
    } else {
      found->second.due_us = outcome.due_us;
      ++found->second.attempts;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<DetectionStore::WaitingDeliveries>> FakeDetectionStore::Waiting() {
  std::map<std::string, WaitingDeliveries> waiting;
  for (const Delivery& delivery : deliveries()) {
    WaitingDeliveries& of = waiting[delivery.receiver];
    of.next_due_us = of.count == 0 ? delivery.due_us : std::min(of.next_due_us, delivery.due_us);
    of.receiver = delivery.receiver;
    ++of.count;
  }
  std::vector<WaitingDeliveries> all;
  for (auto& [receiver, of] : waiting) all.push_back(std::move(of));
  return all;
}

absl::StatusOr<uint64_t> FakeDetectionStore::BoundDeliveries(const std::string& receiver,
                                                             uint64_t most) {
  const absl::MutexLock lock(&mutex_);
  if (!failure_.ok()) return failure_;
  uint64_t kept = 0;
  uint64_t dropped = 0;
  for (auto at = deliveries_.end(); at != deliveries_.begin();) {
    --at;
    if (at->second.receiver != receiver || ++kept <= most) continue;
    at = deliveries_.erase(at);
    ++dropped;
  }
  return dropped;
}

}  // namespace tokenwatch
