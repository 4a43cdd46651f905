// What the probes tell of themselves.
#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "agent/capture/tls_probes.h"

namespace tokenwatch {

bool TlsProbes::LockSoon() const {
  constexpr int kTries = 3;
  constexpr absl::Duration kBetween = absl::Milliseconds(1);
  for (int i = 1; i < kTries; ++i) {
    if (mutex_.TryLock()) return true;
    absl::SleepFor(kBetween);
  }
  return mutex_.TryLock();
}

std::vector<ProbeStatus> TlsProbes::Status() const {
  const bool is_free = LockSoon();
  const absl::MutexLock lock(&told_mutex_);
  if (is_free) {
    told_status_ = StatusNow();
    mutex_.Unlock();
  }
  return told_status_;
}

void TlsProbes::AddCounters(Counters* counters) const {
  const bool is_free = LockSoon();
  const absl::MutexLock lock(&told_mutex_);
  if (is_free) {
    told_counters_ = CountersNow();
    mutex_.Unlock();
  }
  for (const auto& [name, value] : told_counters_) (*counters)[name] = value;
}

std::vector<ProbeStatus> TlsProbes::StatusNow() const {
  std::vector<ProbeStatus> status;
  for (const auto& [id, library] : libraries_) {
    for (const Probe& probe : library.probes) {
      const ProbeSite& site = probe.site;
      ProbeStatus& row = status.emplace_back();
      row.library = library.row->name;
      row.file = library.path;
      for (const TlsSymbol* symbol : site.symbols) row.symbols.emplace_back(symbol->name);
      row.symbol = row.symbols.front();
      row.site = site.place;
      row.reason = site.reason;
      row.emulated = site.emulated;
      row.offset = site.offset;
      row.hits_known = probe.slot != 0;
      if (row.hits_known) row.hits = Count(probe.slot).hits;
      row.returns = !HasExit(site.function)   ? "none needed"
                    : probe.is_refused        ? "none"
                    : NeedsKernelReturn(site) ? "kernel"
                                              : "sites";
      row.returns_reason = site.returns.reason;
      if (probe.is_refused) {
        absl::StrAppend(&row.returns_reason,
                        "; no return probe of the kernel: ", library.policy.returns_refused);
      }
      for (const ReturnSite& at : site.returns.sites) {
        row.return_offsets.push_back(at.offset);
        row.stepped_returns += at.is_emulated ? 0 : 1;
      }
    }
  }
  std::sort(status.begin(), status.end(), [](const ProbeStatus& a, const ProbeStatus& b) {
    return std::tie(a.file, a.offset) < std::tie(b.file, b.offset);
  });
  return status;
}

Counters TlsProbes::CountersNow() const {
  Counters counts;
  counts["files_examined"] = examined_;
  counts["files_cut_unseen"] = cut_;
  counts["libraries_full_unseen"] = refused_;
  counts["libraries_dropped_unused"] = dropped_;
  counts["libraries_made_way"] = made_way_;
  counts["libraries_being_written_unseen"] = made_way_in_use_;
  counts["probes_failed_unseen"] = failed_;
  counts["sites_disproved"] = disproved_;
  counts["return_sites_disproved"] = returns_disproved_;
  counts["returns_refused_unseen"] = returns_refused_;
  uint64_t probes = 0, kernel_returns = 0, unguarded = 0;
  for (const auto& [id, library] : libraries_) {
    unguarded += library.is_guarded ? 0 : 1;
    for (const Probe& probe : library.probes) {
      probes += probe.is_refused ? 0 : 1;
      kernel_returns += !probe.is_refused && NeedsKernelReturn(probe.site) ? 1 : 0;
    }
  }
  counts["libraries_probed"] = libraries_.size();
  counts["libraries_unguarded"] = unguarded;
  counts["probes_attached"] = probes;
  counts["kernel_return_probes"] = kernel_returns;
  return counts;
}

}  // namespace tokenwatch
