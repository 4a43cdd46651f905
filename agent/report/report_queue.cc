#include "agent/report/report_queue.h"

#include <algorithm>
#include <utility>

namespace tokenwatch {
namespace {

constexpr size_t kMaxDifferentGaps = 1000;

// As if nothing of it were shared: the bound holds whatever the uses have in common.
size_t ApproximateBytes(const TokenUse& use) {
  size_t bytes = sizeof(QueuedUse) + SharedBytes(use) + use.request_id.size() +
                 use.peer.peer_address.size() + use.peer.local_address.size();
  for (const TokenFact& fact : use.facts) bytes += sizeof(fact) + fact.value.size();
  return bytes;
}

}  // namespace

void ReportQueue::Add(const TokenUse& use, std::shared_ptr<const Workload> workload) {
  const size_t bytes = ApproximateBytes(use);
  const uint64_t count = std::max<uint32_t>(use.count, 1);
  const absl::MutexLock lock(&mutex_);
  uses_added_ += count;
  if (bytes_ + bytes > options_.max_bytes) {
    dropped_[drop_kind_] += count;
    Merge({.kind = drop_kind_, .count = count, .since = use.time, .until = use.time});
    return;
  }
  NoteFirst();
  const bool was_small = bytes_ < options_.flush_bytes;
  bytes_ += bytes;
  waiting_ += count;
  uses_.push_back({use, std::move(workload)});
  if (was_small && bytes_ >= options_.flush_bytes) changed_.Signal();
}

void ReportQueue::AddGap(const Gap& gap) {
  const absl::MutexLock lock(&mutex_);
  ++gaps_added_;
  Merge(gap);
}

void ReportQueue::AddTlsCoverage(const TlsCoverage& row) {
  if (row.connections == 0) return;
  const absl::MutexLock lock(&mutex_);
  tls_connections_added_ += row.connections;
  tls_coverage_.Add(row);
  NoteFirst();
}

void ReportQueue::MarkAttached(absl::Time time, absl::Span<const Gap> gaps) {
  const absl::MutexLock lock(&mutex_);
  attached_ = true;
  coverage_ = {.until = time};
  for (const Gap& gap : gaps) Merge(gap);
}

void ReportQueue::SetCoverage(const Coverage& coverage) {
  const absl::MutexLock lock(&mutex_);
  if (attached_) coverage_ = coverage;
}

void ReportQueue::Merge(const Gap& gap) {
  NoteFirst();
  GapKey key{gap.kind, gap.detail, gap.pid, gap.comm, gap.exe};
  if (gaps_.size() >= kMaxDifferentGaps && !gaps_.contains(key)) key = {gap.kind, "", 0, "", ""};
  Gap& merged = gaps_[key];
  if (merged.kind.empty()) {
    merged = gap;
    std::tie(merged.kind, merged.detail, merged.pid, merged.comm, merged.exe) = key;
    return;
  }
  merged.count += gap.count;
  merged.since = std::min(merged.since, gap.since);
  merged.until = std::max(merged.until, gap.until);
}

void ReportQueue::NoteFirst() {
  if (first_added_ns_.has_value()) return;
  first_added_ns_ = clock_->MonotonicNs();
  changed_.Signal();
}

bool ReportQueue::Due() const {
  if (closed_ || bytes_ >= options_.flush_bytes) return true;
  return first_added_ns_.has_value() && Since(*first_added_ns_) >= options_.interval;
}

absl::Duration ReportQueue::Since(uint64_t mono_ns) const {
  return absl::Nanoseconds(static_cast<int64_t>(clock_->MonotonicNs() - mono_ns));
}

bool ReportQueue::Wait(absl::Duration timeout) {
  const absl::MutexLock lock(&mutex_);
  const uint64_t begin = clock_->MonotonicNs();
  while (!Due()) {
    absl::Duration left = timeout - Since(begin);
    if (left <= absl::ZeroDuration()) break;
    if (first_added_ns_.has_value()) {
      left = std::min(left, options_.interval - Since(*first_added_ns_));
    }
    changed_.WaitWithTimeout(&mutex_, left);
  }
  return !closed_;
}

QueuedReports ReportQueue::Take() {
  const absl::MutexLock lock(&mutex_);
  QueuedReports taken;
  taken.uses.swap(uses_);
  uses_.reserve(std::min<size_t>(taken.uses.size(), 1024));
  taken.gaps.reserve(gaps_.size());
  for (auto& [key, gap] : gaps_) taken.gaps.push_back(std::move(gap));
  gaps_.clear();
  taken.tls_coverage = tls_coverage_.Take();
  taken.taken = clock_->Now();
  taken.coverage = coverage_;
  taken.attached = attached_;
  bytes_ = 0;
  waiting_ = 0;
  first_added_ns_.reset();
  return taken;
}

void ReportQueue::SetDropKind(const std::string& kind) {
  const absl::MutexLock lock(&mutex_);
  drop_kind_ = kind;
}

void ReportQueue::Close() {
  const absl::MutexLock lock(&mutex_);
  closed_ = true;
  changed_.SignalAll();
}

uint64_t ReportQueue::uses_added() const {
  const absl::MutexLock lock(&mutex_);
  return uses_added_;
}

uint64_t ReportQueue::gaps_added() const {
  const absl::MutexLock lock(&mutex_);
  return gaps_added_;
}

uint64_t ReportQueue::tls_connections_added() const {
  const absl::MutexLock lock(&mutex_);
  return tls_connections_added_;
}

uint64_t ReportQueue::tls_connections_folded() const {
  const absl::MutexLock lock(&mutex_);
  return tls_coverage_.folded();
}

std::map<std::string, uint64_t> ReportQueue::dropped() const {
  const absl::MutexLock lock(&mutex_);
  return dropped_;
}

uint64_t ReportQueue::waiting() const {
  const absl::MutexLock lock(&mutex_);
  return waiting_;
}

}  // namespace tokenwatch
