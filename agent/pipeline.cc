#include "agent/pipeline.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_set.h"
#include "agent/http/gap.h"
#include "agent/report/gap.h"

namespace tokenwatch {

void Pipeline::Sights::Look(uint64_t process, uint32_t pid, const std::string& exe) {
  capture_->LookAtProcess(process, pid, exe);
}

std::optional<std::string> Pipeline::Sights::WhyDark(uint64_t process, uint64_t begun_ns) {
  const std::optional<TlsSight> sight = capture_->SightOf(process);
  if (!sight.has_value()) return std::nullopt;
  return tokenwatch::WhyDark(*sight, begun_ns);
}

void Pipeline::Sights::Forget(uint64_t process) { capture_->ForgetProcess(process); }

Pipeline::Pipeline(const Sources& sources, const std::string& host,
                   std::vector<std::string> cookies)
    : clock_(sources.clock),
      custody_(sources.clock),
      workloads_(sources.proc, host, sources.users, sources.containers, sources.clock),
      use_reporter_([this](uint64_t process, uint32_t pid) { return FindWorkload(process, pid); },
                    sources.clock,
                    [this](const TokenUse& use, std::shared_ptr<const Workload> workload) {
                      reporter_->Add(use, std::move(workload));
                    }),
      uses_(sources.tokens, std::move(cookies), sources.clock, &custody_),
      exchanges_(&custody_),
      gaps_([this](const Gap& gap) { custody_.AddGap(gap); }),
      sights_(sources.capture),
      tls_ledger_(
          &sights_, sources.clock,
          [this](uint64_t process, uint32_t pid) { return FindWorkload(process, pid); },
          [this](const TlsCoverage& row) { custody_.AddTlsCoverage(row); }) {
  custody_.SetNext(&uses_, &use_reporter_);
}

void Pipeline::SetReporter(Reporter* reporter) {
  reporter_ = reporter;
  custody_.SetReporter(reporter);
}

void Pipeline::OnSegment(const Segment& segment) {
  if (const auto* process = std::get_if<const tw_process*>(&segment)) {
    workloads_.OnProcess(**process);
  } else if (const auto* exit = std::get_if<tw_exit>(&segment)) {
    workloads_.OnExit(*exit);
    tls_ledger_.OnExit(exit->process);
  } else if (const auto* tls = std::get_if<tw_tls>(&segment)) {
    custody_.OnTls(*tls);
    tls_ledger_.OnTls(*tls);
  } else if (const auto* gap = std::get_if<tw_gap>(&segment)) {
    const std::string kind(GapName(gap->reason));
    if (IsLoss(kind)) {
      gaps_.Add(kind, gap->pid, workloads_.Find(gap->process, gap->pid).get(),
                clock_->FromMonotonic(gap->h.mono_ns));
    }
  }
  exchanges_.OnSegment(segment);
}

void Pipeline::Sweep(uint64_t now_ns, uint64_t lost_segments) {
  exchanges_.Sweep(now_ns);
  uses_.Sweep();
  workloads_.Sweep(now_ns);
  tls_ledger_.Sweep(now_ns, lost_segments);
}

void Pipeline::Finish() {
  exchanges_.Finish();
  uses_.SetPatience(false);
  use_reporter_.Finish();
  tls_ledger_.Finish();
}

Coverage Pipeline::CoverageUntil(uint64_t delivered_ns) const {
  Coverage coverage{.until = clock_->FromMonotonic(delivered_ns),
                    .open = uses_.waiting(),
                    .open_since = uses_.WaitingSince()};
  if (use_reporter_.waiting() != 0) {
    coverage.open += use_reporter_.waiting();
    coverage.open_since = std::min(coverage.open_since, use_reporter_.WaitingSince());
  }
  const UnfinishedRequests unfinished = exchanges_.Unfinished();
  if (unfinished.count != 0) {
    coverage.open += unfinished.count;
    coverage.open_since =
        std::min(coverage.open_since, clock_->FromMonotonic(unfinished.since_mono_ns));
  }
  if (const size_t later = custody_.later(); later != 0) {
    coverage.open += later;
    coverage.open_since = std::min(coverage.open_since, clock_->FromMonotonic(agreed_ns_));
  }
  return coverage;
}

void Pipeline::HoldAll() {
  uses_.SetPatience(false);
  custody_.HoldAll();
  tls_ledger_.HoldFrom(0);
  exchanges_.ExpectTables();
}

void Pipeline::Decide(const Ledger& ledger) {
  const absl::flat_hash_set<uint64_t> of_owner = custody_.Decide(ledger);
  uses_.SetPatience(true);
  tls_ledger_.Release(
      [&](uint64_t connection, uint64_t) { return !of_owner.contains(connection); });
}

void Pipeline::DecideAlone(absl::Time spooled, uint64_t handover_ns) {
  custody_.DecideAlone(spooled, handover_ns);
  uses_.SetPatience(true);
  tls_ledger_.Release(
      [&](uint64_t, uint64_t begun_ns) { return clock_->FromMonotonic(begun_ns) >= spooled; });
}

void Pipeline::HoldFrom(uint64_t agreed_ns) {
  uses_.SetPatience(false);
  agreed_ns_ = agreed_ns;
  custody_.HoldFrom(agreed_ns);
  tls_ledger_.HoldFrom(agreed_ns);
}

bool Pipeline::IsFinishedBefore(uint64_t agreed_ns) const {
  const UnfinishedRequests unfinished = exchanges_.Unfinished();
  return uses_.WaitingBefore(clock_->FromMonotonic(agreed_ns)) == 0 &&
         (unfinished.count == 0 || unfinished.since_mono_ns >= agreed_ns);
}

void Pipeline::FinishBefore(uint64_t agreed_ns) {
  const UnfinishedRequests unfinished = exchanges_.Unfinished();
  if (unfinished.count != 0 && unfinished.since_mono_ns < agreed_ns) {
    custody_.AddGap({.kind = "open_requests_lost",
                     .count = unfinished.count,
                     .since = clock_->FromMonotonic(unfinished.since_mono_ns),
                     .until = clock_->FromMonotonic(agreed_ns)});
  }
  exchanges_.GiveUpBefore(agreed_ns);
  use_reporter_.Finish();
  tls_ledger_.FinishBefore(agreed_ns);
}

void Pipeline::Resume() {
  uses_.SetPatience(true);
  custody_.Resume();
  tls_ledger_.Release([](uint64_t, uint64_t) { return true; });
}

void Pipeline::AddCounters(Counters* counters) const {
  exchanges_.AddCounters(counters);
  uses_.AddCounters(counters);
  workloads_.AddCounters(counters);
  use_reporter_.AddCounters(counters);
  tls_ledger_.AddCounters(counters);
  custody_.AddCounters(counters);
  (*counters)["hpack_tables_inherited"] = exchanges_.tables_inherited();
}

}  // namespace tokenwatch
