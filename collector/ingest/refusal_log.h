// Refusals in the log, however often somebody who is refused comes again.
#ifndef TOKENWATCH_COLLECTOR_INGEST_REFUSAL_LOG_H_
#define TOKENWATCH_COLLECTOR_INGEST_REFUSAL_LOG_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/common/clock.h"

namespace tokenwatch {

// A line for each peer and kind of refusal in five minutes; the next one says how many were left
// out. Peers beyond those that are remembered share one line. Counters are elsewhere, and count
// all. Thread safe.
class RefusalLog {
 public:
  static constexpr absl::Duration kInterval = absl::Minutes(5);
  static constexpr size_t kMaxPeers = 256;

  // `clock` outlives the log.
  explicit RefusalLog(const Clock* clock) : clock_(clock) {}

  // Warns: "refused `what`: why". Refusals are of one kind where `kind` and the status' code are
  // the same; `peer` is an address or an agent's id.
  void Warn(const std::string& kind, const std::string& peer, const std::string& what,
            const absl::Status& why);

  // The line that Warn would write, if it is time for one.
  std::optional<std::string> Line(const std::string& kind, const std::string& peer,
                                  const std::string& what, const absl::Status& why);

 private:
  struct Entry {
    uint64_t written_ns;
    uint64_t left_out = 0;
  };
  const Clock* const clock_;
  absl::Mutex mutex_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);  // "": of all others
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_INGEST_REFUSAL_LOG_H_
