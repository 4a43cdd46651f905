// One thread that commits what all agents have sent, together.
#ifndef TOKENWATCH_COLLECTOR_INGEST_COMMITTER_H_
#define TOKENWATCH_COLLECTOR_INGEST_COMMITTER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/common/steady_cond_var.h"
#include "collector/store/store.h"

namespace tokenwatch {

// One agent's stream as the committer sees it. Its functions are called on the committing thread,
// without a lock.
class CommitSource {
 public:
  virtual ~CommitSource() = default;
  // A batch of this source is durable. In the order of Submit.
  virtual void OnCommitted(const std::string& stream, uint64_t last_sequence) = 0;
  // Nothing that was submitted and not committed will be. Once, and the last call.
  virtual void OnCommitFailed(const absl::Status& status) = 0;
  // There is room again after Submit said that there was none.
  virtual void OnRoom() = 0;

 private:
  friend class Committer;
  // Guarded by the committer's mutex.
  size_t pending_bytes_ = 0;
  bool failed_ = false;
};

struct CommitterOptions {
  // Submitted and not committed, about; beyond it a source has to stop reading.
  size_t max_pending_bytes = size_t{64} << 20;
  size_t max_source_bytes = size_t{16} << 20;
  size_t max_commit_records = 65536;  // in one transaction
};

// Everything that waits goes into one transaction, so that the time of a disk flush is shared by
// all agents. A batch of a stream is never committed after an earlier one of it has failed: the
// store would take the earlier one's repetition for a retry and drop it. So a failure ends every
// source that had a part in it. Thread safe.
class Committer {
 public:
  // `store` outlives the committer. Starts the thread.
  Committer(Store* store, const CommitterOptions& options);
  ~Committer();  // Stop
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  // Takes a batch; false where the source must wait for OnRoom before it submits another. What
  // comes after the source failed, or after Stop, is dropped.
  bool Submit(std::shared_ptr<CommitSource> source, IngestBatch batch);

  // The latest state of an agent, recorded between commits.
  void Record(AgentInfo info);

  // Commits what waits, then ends the thread.
  void Stop();

  void AddCounters(std::map<std::string, uint64_t>* counters) const;

  // Grows about once a second and with each commit while the thread lives, and not while a commit
  // lasts: what a watchdog asks.
  uint64_t Rounds() const { return rounds_; }

 private:
  struct Entry {
    std::shared_ptr<CommitSource> source;
    size_t bytes = 0;
  };
  struct Work {
    std::vector<IngestBatch> batches;
    std::vector<Entry> entries;  // of the batches
    std::vector<AgentInfo> agents;
  };

  void Run();
  bool TakeWork(Work* work);
  void Commit(const Work& work);
  void Fail(const Work& work, const absl::Status& status);
  // Ends the accounting of what was taken and tells who may go on.
  void Release(const Work& work);
  bool HasRoom(const CommitSource& source) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Store* const store_;
  const CommitterOptions options_;

  std::atomic<uint64_t> rounds_{0};

  mutable absl::Mutex mutex_;
  SteadyCondVar changed_ ABSL_GUARDED_BY(mutex_);
  std::deque<IngestBatch> batches_ ABSL_GUARDED_BY(mutex_);
  std::deque<Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, AgentInfo> agents_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<CommitSource>> paused_ ABSL_GUARDED_BY(mutex_);
  size_t pending_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool failing_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, uint64_t> counters_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_INGEST_COMMITTER_H_
