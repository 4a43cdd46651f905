// A condition variable whose timeouts do not depend on the wall clock.
#ifndef TOKENWATCH_AGENT_COMMON_STEADY_COND_VAR_H_
#define TOKENWATCH_AGENT_COMMON_STEADY_COND_VAR_H_

#include <algorithm>
#include <condition_variable>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace tokenwatch {

// As absl::CondVar, which waits until a wall time (before its release 20230802): where the clock is
// set back by a day meanwhile, it waits a day longer.
class SteadyCondVar {
 public:
  void Signal() { changed_.notify_one(); }
  void SignalAll() { changed_.notify_all(); }
  // True where the time is over. May return early, as every condition variable.
  bool WaitWithTimeout(absl::Mutex* mutex, absl::Duration timeout)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    // Beyond the longest wait a sum of times would overflow.
    constexpr absl::Duration kLongest = absl::Hours(24);
    Lock lock{mutex};
    return changed_.wait_for(lock, absl::ToChronoMicroseconds(std::min(timeout, kLongest))) ==
           std::cv_status::timeout;
  }

 private:
  struct Lock {
    absl::Mutex* mutex;
    void lock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex->Lock(); }
    void unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex->Unlock(); }
  };

  std::condition_variable_any changed_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_STEADY_COND_VAR_H_
