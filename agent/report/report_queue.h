// Uses, gaps and TLS coverage on their way from the draining thread to the spool, bounded.
#ifndef TOKENWATCH_AGENT_REPORT_REPORT_QUEUE_H_
#define TOKENWATCH_AGENT_REPORT_REPORT_QUEUE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "agent/common/clock.h"
#include "agent/common/steady_cond_var.h"
#include "agent/report/gap.h"
#include "agent/report/tls_coverage.h"
#include "agent/report/tls_coverage_sums.h"
#include "agent/token/token_use.h"
#include "agent/workload/workload.h"

namespace tokenwatch {

struct ReportQueueOptions {
  size_t max_bytes = size_t{16} << 20;  // of uses, about; what comes on top is dropped and counted
  size_t flush_bytes = size_t{1} << 20;
  absl::Duration interval = absl::Milliseconds(100);
};

struct QueuedUse {
  TokenUse use;
  std::shared_ptr<const Workload> workload;
};

// What had been added at a moment.
struct Coverage {
  absl::Time until = absl::InfinitePast();  // every request seen before then, but for
  uint64_t open = 0;                        // so many that had not ended,
  absl::Time open_since;                    // the first of which began then

  // Every request that began before then had been added.
  absl::Time Complete() const { return open == 0 ? until : std::min(until, open_since); }
};

struct QueuedReports {
  std::vector<QueuedUse> uses;
  std::vector<Gap> gaps;
  std::vector<TlsCoverage> tls_coverage;
  absl::Time taken;
  Coverage coverage;      // of what is here or was taken before
  bool attached = false;  // MarkAttached was called by then
};

// Thread safe.
class ReportQueue {
 public:
  // `clock` outlives the queue.
  ReportQueue(const ReportQueueOptions& options, const Clock* clock)
      : options_(options), clock_(clock) {}

  void Add(const TokenUse& use, std::shared_ptr<const Workload> workload);

  // Gaps alike in all but count and time become one; beyond a thousand different ones at once those
  // of a kind do, without detail or process.
  void AddGap(const Gap& gap);

  // Summed by program and reason, within the bound of TlsCoverageSums.
  void AddTlsCoverage(const TlsCoverage& row);

  // Watching has begun at `time`: `gaps` and the flag are taken together.
  void MarkAttached(absl::Time time, absl::Span<const Gap> gaps);

  // After the uses that it speaks of were added. Ignored before MarkAttached.
  void SetCoverage(const Coverage& coverage);

  // Waits until there is something that is `interval` old or `flush_bytes` long, at most for
  // `timeout`, or until Close. False after Close.
  bool Wait(absl::Duration timeout);
  QueuedReports Take();

  // Why uses that find no room are dropped; the kind of their gap.
  void SetDropKind(const std::string& kind);
  void Close();

  uint64_t uses_added() const;
  uint64_t gaps_added() const;
  uint64_t tls_connections_added() const;
  // TLS connections whose program found no room and is not told.
  uint64_t tls_connections_folded() const;
  // By kind: uses that found no room (sum of their counts).
  std::map<std::string, uint64_t> dropped() const;
  // Uses that wait (sum of their counts).
  uint64_t waiting() const;

 private:
  using GapKey = std::tuple<std::string, std::string, uint32_t, std::string, std::string>;

  bool Due() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration Since(uint64_t mono_ns) const;
  void Merge(const Gap& gap) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteFirst() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ReportQueueOptions options_;
  const Clock* const clock_;

  mutable absl::Mutex mutex_;
  SteadyCondVar changed_ ABSL_GUARDED_BY(mutex_);
  std::vector<QueuedUse> uses_ ABSL_GUARDED_BY(mutex_);
  std::map<GapKey, Gap> gaps_ ABSL_GUARDED_BY(mutex_);
  TlsCoverageSums tls_coverage_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<uint64_t> first_added_ns_ ABSL_GUARDED_BY(mutex_);  // of what waits, monotonic
  bool attached_ ABSL_GUARDED_BY(mutex_) = false;
  Coverage coverage_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::string drop_kind_ ABSL_GUARDED_BY(mutex_) = "report_queue_dropped";
  std::map<std::string, uint64_t> dropped_ ABSL_GUARDED_BY(mutex_);
  uint64_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t uses_added_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t gaps_added_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t tls_connections_added_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_REPORT_QUEUE_H_
