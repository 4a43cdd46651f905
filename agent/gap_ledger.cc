#include "agent/gap_ledger.h"

#include "agent/status/agent_status.h"

namespace tokenwatch {

void GapLedger::Add(const std::string& kind, uint32_t pid, const Workload* workload,
                    absl::Time time) {
  if (rows_.size() >= kMaxRows) return;  // Flush finds it in the totals
  const auto [at, is_new] = rows_.try_emplace({kind, pid});
  Row& row = at->second;
  ++row.count;
  ++told_[kind];
  if (is_new) row.since = time;
  row.until = time;
  if (workload != nullptr) {
    row.comm = workload->comm;
    row.exe = workload->exe;
  }
}

void GapLedger::Flush(const Counters& totals, absl::Time now) {
  for (const auto& [key, row] : rows_) {
    Gap gap;
    gap.kind = std::get<0>(key);
    gap.pid = std::get<1>(key);
    gap.count = row.count;
    gap.since = row.since;
    gap.until = row.until;
    gap.comm = row.comm;
    gap.exe = row.exe;
    emit_(gap);
  }
  rows_.clear();
  for (const auto& [name, total] : totals) {
    if (!IsLoss(name)) continue;
    uint64_t& known = totals_[name];
    uint64_t& told = told_[name];
    // A counter may be ahead of Add's events, never behind them for long.
    if (total <= known + told) continue;
    Gap gap;
    gap.kind = name;
    gap.count = total - known - told;
    gap.since = flushed_ == absl::InfinitePast() ? now : flushed_;
    gap.until = now;
    emit_(gap);
    known = total - told;
  }
  flushed_ = now;
}

}  // namespace tokenwatch
