// Losses become gaps: what people ask for is who was not seen, from when to when, and how much.
#ifndef TOKENWATCH_AGENT_GAP_LEDGER_H_
#define TOKENWATCH_AGENT_GAP_LEDGER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <tuple>

#include "absl/time/time.h"
#include "agent/common/counters.h"
#include "agent/report/gap.h"
#include "agent/workload/workload.h"

namespace tokenwatch {

// Folds equal losses of an interval into one gap. Not thread safe.
class GapLedger {
 public:
  static constexpr absl::Duration kInterval = absl::Seconds(1);
  // Different losses kept in one interval; the rest is counted under its kind without a process.
  static constexpr size_t kMaxRows = 1000;

  // `emit` receives the gaps.
  explicit GapLedger(std::function<void(const Gap&)> emit) : emit_(std::move(emit)) {}

  // One loss whose process is known (`workload` may be null).
  void Add(const std::string& kind, uint32_t pid, const Workload* workload, absl::Time time);

  // Totals of all rooms. What a loss counter rose by since the last call is a gap, unless it was
  // told by Add in the meantime. To be called about once an interval.
  void Flush(const Counters& totals, absl::Time now);

 private:
  struct Row {
    uint64_t count = 0;
    absl::Time since, until;
    std::string comm, exe;
  };
  std::function<void(const Gap&)> emit_;
  std::map<std::tuple<std::string, uint32_t>, Row> rows_;  // by kind and process
  Counters told_;                                          // per kind, by Add, ever
  Counters totals_;                                        // at the last Flush
  absl::Time flushed_ = absl::InfinitePast();
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_GAP_LEDGER_H_
