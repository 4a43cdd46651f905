// Finds user names on a thread of its own.
#ifndef TOKENWATCH_AGENT_WORKLOAD_USER_RESOLVER_H_
#define TOKENWATCH_AGENT_WORKLOAD_USER_RESOLVER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/common/clock.h"
#include "agent/workload/users.h"

namespace tokenwatch {

// Asks a database that may take long, one user at a time. What is older than kFresh is told until
// there is news. Any thread; the destructor waits for the question that is under way.
class UserResolver : public UserLookup {
 public:
  static constexpr size_t kMaxQueued = 256;  // beyond it there is no name, until asked again
  static constexpr size_t kMaxKept = 4096;
  static constexpr absl::Duration kFresh = absl::Minutes(10);

  // Both outlive this.
  UserResolver(UserDatabase* database, const Clock* clock);
  ~UserResolver() override;

  Answer Find(uint32_t uid) override;

 private:
  struct Kept {
    std::optional<std::string> name;
    uint64_t asked_ns = 0;
    bool is_known = false;  // has been answered once
    bool is_queued = false;
  };

  void Run();
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return is_over_ || !queue_.empty(); }

  UserDatabase* const database_;
  const Clock* const clock_;
  absl::Mutex mutex_;
  absl::flat_hash_map<uint32_t, Kept> kept_ ABSL_GUARDED_BY(mutex_);
  std::deque<uint32_t> queue_ ABSL_GUARDED_BY(mutex_);
  bool is_over_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_WORKLOAD_USER_RESOLVER_H_
