// Takes what is committed to the engine, and what the engine finds to the store and to delivery.
#ifndef TOKENWATCH_COLLECTOR_DETECT_JUDGE_H_
#define TOKENWATCH_COLLECTOR_DETECT_JUDGE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/common/clock.h"
#include "agent/common/counters.h"
#include "agent/common/steady_cond_var.h"
#include "collector/detect/engine.h"
#include "collector/store/detection_store.h"

namespace tokenwatch {

// One thread. No use is lost to it: `judged` moves on in the store only together with the baselines
// that have the uses up to it, and a start goes on from there, as it does where more is committed
// than it can hold. A finding is committed at once, with its deliveries; when its uses are judged
// again after a crash, it is the same finding and its evidence counts once.
class Judge : public CommitObserver {
 public:
  struct Options {
    const CountryDatabase* countries = nullptr;  // may be null; outlives it
    size_t most_waiting = 200'000;               // uses in memory; others are read from the store
    absl::Duration save_every = absl::Seconds(20);
    // Whether an agent is connected; empty: all are. Silence of what an away agent watches is none.
    std::function<bool(const std::string& agent)> is_connected;
    // What is to be delivered of a finding that is new or told again; may be empty.
    std::function<std::vector<Delivery>(const v1::Finding&)> route;
    // Deliveries were committed; may be empty.
    std::function<void()> delivered;
  };

  // `store` and `clock` outlive it.
  Judge(DetectionStore* store, const Clock* clock, Options options);
  ~Judge() override;  // Stop

  // Reads baselines and findings and starts the thread.
  absl::Status Start(std::shared_ptr<const Policy> policy);
  // Judges what was committed, saves, and ends the thread.
  void Stop();

  // From the next use on; never null.
  void SetPolicy(std::shared_ptr<const Policy> policy);

  void OnCommitted(std::vector<CommittedUse> uses, std::vector<TokenFactRow> facts) override;

  void AddCounters(Counters* counters) const;
  // Judged since the start; and committed and not judged yet.
  uint64_t Judged() const;
  uint64_t Waiting() const;

 private:
  struct Work {
    std::deque<CommittedUse> uses;
    std::deque<TokenFactRow> facts;
    std::shared_ptr<const Policy> policy;  // null: as before
    bool stop = false;
  };
  // How an agent's reports keep up with events.
  struct Progress {
    int64_t newest_us = 0;
    uint64_t at_ns = 0;  // CLOCK_MONOTONIC, of the last report
    bool behind = false;
  };

  // Of the newest use, or now where that is earlier: a wall clock that is ahead must not make every
  // finding look too old to be joined.
  int64_t NewestMicros() const;
  absl::Status Restore();
  void Run();
  Work Take();
  void JudgeUse(const CommittedUse& use);
  // Reads and judges what is in the store and was not judged.
  void CatchUp();
  void Advance();
  bool IsReporting(const std::string& agent) const;
  // Commits what is new; with `all` also baselines, and how far uses are judged.
  void Save(bool all);
  // Puts a finding, and what is to be delivered of it, into what is committed next.
  void Queue(StoredFinding finding);

  DetectionStore* const store_;
  const Clock* const clock_;
  const Options options_;

  // The thread's.
  Engine engine_;
  DetectionCommit pending_;  // what a failed commit left
  uint64_t judged_ = 0;      // number of the last use that the engine had
  uint64_t saved_ns_ = 0;
  uint64_t raised_ = 0;    // findings that were queued for the first time
  bool failing_ = false;   // the last commit failed
  int64_t newest_us_ = 0;  // event time
  uint64_t newest_ns_ = 0;
  absl::flat_hash_map<std::string, Progress> agents_;

  mutable absl::Mutex mutex_;
  SteadyCondVar changed_ ABSL_GUARDED_BY(mutex_);
  Work next_ ABSL_GUARDED_BY(mutex_);
  Counters counters_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> uses_{0};
  std::thread thread_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_JUDGE_H_
