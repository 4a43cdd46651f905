// What a process does TLS with, for the connections whose plaintext is not seen.
#ifndef TOKENWATCH_AGENT_CAPTURE_TLS_INSPECTOR_H_
#define TOKENWATCH_AGENT_CAPTURE_TLS_INSPECTOR_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "agent/capture/tls_sight.h"
#include "agent/capture/unique_fd.h"

namespace tokenwatch {

class TlsProbes;

std::string RuntimeOfFileName(absl::string_view path);
// Looks at `bytes` of an executable; empty where they tell nothing. Of two that tell something the
// one with the lower rank is right.
struct RuntimeMark {
  const char* reason = "";
  int rank = 0;
};
RuntimeMark RuntimeOfContent(absl::string_view bytes);

// Owns a thread of low priority, since executables may be large; it looks at a process's mappings
// first of all, which are gone with the process. Thread safe.
class TlsInspector {
 public:
  // `proc_root` is "/proc". `probes` outlives this.
  TlsInspector(std::string proc_root, const TlsProbes* probes);
  ~TlsInspector();

  // Begins to look at a process. `process` names its image and is asked for later. Where it is gone
  // already, `exe` is looked at instead, a path in this mount namespace, or empty.
  // False where too much is waiting already: it may be tried again.
  bool Look(uint64_t process, uint32_t pid, const std::string& exe);
  // What was found; none while that is still going on, or where it was never begun.
  std::optional<TlsSight> Result(uint64_t process) const;
  void Forget(uint64_t process);

 private:
  struct Job {
    uint64_t process = 0;
    uint32_t pid = 0;
    std::string exe;
  };
  struct Scan {
    uint64_t process = 0;
    TlsSight sight;
    UniqueFd exe;
    bool is_gone = false;
  };
  using ExeKey = std::pair<uint64_t, uint64_t>;  // of stat: inode and change time

  void Run();
  void LookAtMappings(const Job& job);
  void LookAtExecutable(Scan scan);
  // False where the agent ends.
  bool LookAtWaiting();
  std::string ReasonIn(const UniqueFd& exe);
  void Enqueue(Scan scan);
  void Finish(uint64_t process, TlsSight sight);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !jobs_.empty() || !scans_.empty();
  }

  const std::string proc_root_;
  const TlsProbes* probes_;
  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Job> jobs_ ABSL_GUARDED_BY(mutex_);
  std::deque<Scan> scans_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, std::optional<TlsSight>> results_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<ExeKey, std::string> known_;  // by the thread: executables and their reason
  std::thread thread_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_TLS_INSPECTOR_H_
