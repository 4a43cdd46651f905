// Gaps as events of the log: `journalctl TOKENWATCH_EVENT=gap`.
#ifndef TOKENWATCH_AGENT_REPORT_GAP_LOG_H_
#define TOKENWATCH_AGENT_REPORT_GAP_LOG_H_

#include <functional>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/common/log.h"
#include "agent/report/gap.h"

namespace tokenwatch {

// One entry a kind and minute: a full ring is told by each process in each second. What came in
// between is in the sum that the next entry of the kind names. Any thread.
class GapLog {
 public:
  using Emit = std::function<void(const std::string& message, const LogFields& fields)>;
  GapLog();
  explicit GapLog(Emit emit) : emit_(std::move(emit)) {}

  // `now` only paces.
  void Add(const Gap& gap, absl::Time now);

 private:
  struct Kind {
    absl::Time logged = absl::InfinitePast();
    uint64_t untold = 0;
  };

  const Emit emit_;
  absl::Mutex mutex_;
  std::map<std::string, Kind> kinds_ ABSL_GUARDED_BY(mutex_);  // the names of counters: few
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_GAP_LOG_H_
