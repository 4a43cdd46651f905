#include "collector/detect/judge.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "agent/common/facts.h"
#include "agent/common/log.h"

namespace tokenwatch {
namespace {

constexpr absl::Duration kTick = absl::Seconds(1);
constexpr size_t kReadAtOnce = 10'000;
constexpr int64_t kJoinMicros = int64_t{90} * 24 * 3600 * 1'000'000;
// An agent whose reports are older than that is behind, and one that is silent for so long is not.
constexpr int64_t kBehindMicros = int64_t{300} * 1'000'000;
constexpr uint64_t kSilentNs = uint64_t{120} * 1'000'000'000;
// Uses may arrive so late in the usual course of things.
constexpr int64_t kSlackMicros = int64_t{60} * 1'000'000;
constexpr std::string_view kToldFacts[] = {fact::kExpires,  fact::kIssuedAt,  fact::kRevoked,
                                           fact::kInactive, fact::kRevokedBy, fact::kRotatedTo,
                                           fact::kScope};
// Those that say the same at any time. A scope's is that of its last telling, and several of them
// would look like several tellings.
constexpr std::string_view kLastingFacts[] = {fact::kExpires,  fact::kIssuedAt,  fact::kRevoked,
                                              fact::kInactive, fact::kRevokedBy, fact::kRotatedTo};

uint64_t Nanos(absl::Duration duration) {
  return static_cast<uint64_t>(absl::ToInt64Nanoseconds(duration));
}

}  // namespace

Judge::Judge(DetectionStore* store, const Clock* clock, Options options)
    : store_(store),
      clock_(clock),
      options_(std::move(options)),
      engine_({.countries = options_.countries,
               .is_reporting = [this](const std::string& agent) { return IsReporting(agent); }}) {}

Judge::~Judge() { Stop(); }

absl::Status Judge::Start(std::shared_ptr<const Policy> policy) {
  engine_.SetPolicy(std::move(policy));
  if (absl::Status status = Restore(); !status.ok()) return status;
  saved_ns_ = clock_->MonotonicNs();
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

absl::Status Judge::Restore() {
  const absl::StatusOr<uint64_t> judged = store_->Judged();
  if (!judged.ok()) return judged.status();
  // A store that was restored from a backup may be younger than what it says of itself.
  judged_ = std::min(*judged, store_->LastUse());
  uint64_t lost = 0;
  absl::Status status =
      store_->ForEachBaseline([this, &lost](std::string_view name, std::string_view bytes) {
        if (!engine_.Restore(name, bytes)) ++lost;
      });
  if (!status.ok()) return status;
  if (lost > 0) {
    Log(LogLevel::kWarning, lost, " baselines cannot be read; what is normal is learnt anew there");
    const absl::MutexLock lock(&mutex_);
    counters_["detect_baselines_lost"] += lost;
  }
  const absl::StatusOr<std::vector<StoredFinding>> findings =
      store_->FindingsSince(NewestMicros() - kJoinMicros);
  if (!findings.ok()) return findings.status();
  for (const StoredFinding& finding : *findings) engine_.Restore(finding);
  // Facts that were told when nobody judged.
  return store_->ForEachFact(kToldFacts, [this](const TokenFactRow& fact) { engine_.Learn(fact); });
}

int64_t Judge::NewestMicros() const {
  const int64_t now_us = absl::ToUnixMicros(clock_->Now());
  uint64_t number = store_->LastUse();
  if (number == 0) return now_us;
  --number;
  const absl::StatusOr<std::vector<CommittedUse>> uses = store_->UsesSince(&number, 1);
  return !uses.ok() || uses->empty() ? now_us : std::min(now_us, uses->back().row.time_us);
}

void Judge::Stop() {
  {
    const absl::MutexLock lock(&mutex_);
    next_.stop = true;
    changed_.Signal();
  }
  if (thread_.joinable()) thread_.join();
}

void Judge::SetPolicy(std::shared_ptr<const Policy> policy) {
  const absl::MutexLock lock(&mutex_);
  next_.policy = std::move(policy);
  changed_.Signal();
}

void Judge::OnCommitted(std::vector<CommittedUse> uses, std::vector<TokenFactRow> facts) {
  const absl::MutexLock lock(&mutex_);
  // Beyond the bound what waits is read from the store: the hole in the numbers says so.
  if (next_.uses.size() + uses.size() > options_.most_waiting) {
    next_.uses.clear();
    ++counters_["detect_overflows"];
  }
  std::move(uses.begin(), uses.end(), std::back_inserter(next_.uses));
  if (next_.facts.size() < options_.most_waiting) {
    std::move(facts.begin(), facts.end(), std::back_inserter(next_.facts));
  } else {
    counters_["detect_facts_dropped"] += facts.size();
  }
  changed_.Signal();
}

Judge::Work Judge::Take() {
  const absl::MutexLock lock(&mutex_);
  if (next_.uses.empty() && next_.facts.empty() && next_.policy == nullptr && !next_.stop) {
    changed_.WaitWithTimeout(&mutex_, kTick);
  }
  Work work = std::exchange(next_, {});
  next_.stop = work.stop;
  return work;
}

void Judge::Run() {
  const uint64_t restored = judged_;
  CatchUp();
  if (judged_ != restored) {
    // What Restore could not tell to the engine: facts of tokens that it had no baseline of yet.
    const absl::Status status = store_->ForEachFact(
        kLastingFacts, [this](const TokenFactRow& fact) { engine_.Learn(fact); });
    if (!status.ok()) Log(LogLevel::kError, "facts cannot be read: ", status.ToString());
  }
  for (bool stop = false; !stop;) {
    Work work = Take();
    stop = work.stop;
    if (work.policy != nullptr) engine_.SetPolicy(std::move(work.policy));
    for (const CommittedUse& use : work.uses) {
      if (use.number <= judged_) continue;
      if (use.number != judged_ + 1) {
        CatchUp();
        if (use.number <= judged_) continue;
      }
      JudgeUse(use);
    }
    for (const TokenFactRow& fact : work.facts) engine_.Learn(fact);
    Advance();
    const uint64_t now_ns = clock_->MonotonicNs();
    Save(stop || now_ns - saved_ns_ >= Nanos(options_.save_every));
    // The one before may have been of what waited for a store that failed, without the newest.
    if (stop) Save(true);
  }
}

void Judge::JudgeUse(const CommittedUse& use) {
  const int64_t time_us = use.row.time_us;
  Progress& progress = agents_[use.source->agent];
  progress.at_ns = clock_->MonotonicNs();
  progress.newest_us = std::max(progress.newest_us, time_us);
  progress.behind = time_us < newest_us_ - kBehindMicros;
  if (time_us > newest_us_) {
    newest_us_ = time_us;
    newest_ns_ = progress.at_ns;
  }
  engine_.Judge(use);
  judged_ = use.number;
  uses_.fetch_add(1, std::memory_order_relaxed);
}

void Judge::CatchUp() {
  while (judged_ < store_->LastUse()) {
    uint64_t number = judged_;
    const absl::StatusOr<std::vector<CommittedUse>> uses = store_->UsesSince(&number, kReadAtOnce);
    if (!uses.ok() || (uses->empty() && number == judged_)) return;  // the next round tries again
    for (const CommittedUse& use : *uses) JudgeUse(use);
    judged_ = std::max(judged_, number);
    Advance();
    Save(clock_->MonotonicNs() - saved_ns_ >= Nanos(options_.save_every));
  }
}

// Event time goes on with the steady clock, so a step of the wall clock is no silence; and it is
// not ahead of the wall clock, so an agent's clock that is ahead makes none either.
void Judge::Advance() {
  if (newest_us_ == 0) return;
  const bool idle = judged_ >= store_->LastUse();
  const auto since_us = static_cast<int64_t>((clock_->MonotonicNs() - newest_ns_) / 1000);
  const int64_t reached_us = newest_us_ + (idle ? since_us : 0);
  engine_.AdvanceTo(std::min(reached_us, absl::ToUnixMicros(clock_->Now())) - kSlackMicros);
}

bool Judge::IsReporting(const std::string& agent) const {
  if (options_.is_connected && !options_.is_connected(agent)) return false;
  const auto found = agents_.find(agent);
  if (found == agents_.end()) return true;
  return !found->second.behind || clock_->MonotonicNs() - found->second.at_ns > kSilentNs;
}

void Judge::Queue(StoredFinding finding) {
  const bool told = finding.tell && finding.finding.state() != "suppressed";
  if (told && options_.route) {
    for (Delivery& delivery : options_.route(finding.finding)) {
      pending_.deliveries.push_back(std::move(delivery));
    }
  }
  if (finding.tell && finding.finding.revision() == 1) ++raised_;
  const auto same = std::find_if(
      pending_.findings.begin(), pending_.findings.end(), [&finding](const StoredFinding& other) {
        return other.finding.finding_id() == finding.finding.finding_id();
      });
  if (failing_ && same != pending_.findings.end()) {
    *same = std::move(finding);
  } else {
    pending_.findings.push_back(std::move(finding));
  }
}

void Judge::Save(bool all) {
  const int64_t now_us = absl::ToUnixMicros(clock_->Now());
  // Baselines that could not be committed wait as they were, with the number of their last use.
  all = all && !pending_.judged.has_value();
  for (StoredFinding& finding : engine_.TakeFindings(all, now_us)) Queue(std::move(finding));
  for (TokenFactRow& fact : engine_.TakeFacts()) pending_.facts.push_back(std::move(fact));
  if (all) {
    pending_.baselines = engine_.TakeBaselines();
    pending_.judged = judged_;
    saved_ns_ = clock_->MonotonicNs();
  }
  if (pending_.findings.empty() && pending_.baselines.empty() && pending_.facts.empty() &&
      !pending_.judged.has_value()) {
    return;
  }
  const absl::Status status = store_->CommitDetection(pending_);
  if (!status.ok() && !std::exchange(failing_, true)) {
    Log(LogLevel::kError,
        "findings cannot be stored, they are kept and tried again: ", status.ToString());
  }
  if (status.ok() && std::exchange(failing_, false))
    Log(LogLevel::kInfo, "findings are stored again");
  const bool wake = status.ok() && !pending_.deliveries.empty();
  if (status.ok()) pending_ = DetectionCommit();
  if (wake && options_.delivered) options_.delivered();
  const absl::MutexLock lock(&mutex_);
  ++counters_[status.ok() ? "detect_commits" : "detect_commit_failures"];
  counters_["detect_findings"] += std::exchange(raised_, 0);
}

void Judge::AddCounters(Counters* counters) const {
  const absl::MutexLock lock(&mutex_);
  for (const auto& [name, value] : counters_) (*counters)[name] += value;
  (*counters)["detect_waiting"] += next_.uses.size();
  (*counters)["detect_uses"] += uses_;
}

uint64_t Judge::Judged() const { return uses_; }

uint64_t Judge::Waiting() const {
  const absl::MutexLock lock(&mutex_);
  return next_.uses.size();
}

}  // namespace tokenwatch
