// Does later what would hold others up.
#ifndef TOKENWATCH_AGENT_CAPTURE_WORK_THREAD_H_
#define TOKENWATCH_AGENT_CAPTURE_WORK_THREAD_H_

#include <deque>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace tokenwatch {

// A thread of its own for what waits in the kernel. The destructor waits for everything that was
// handed over. Thread safe.
class WorkThread {
 public:
  WorkThread();
  ~WorkThread();

  // `work` runs later, in the order of the calls.
  void Later(absl::AnyInvocable<void()> work);

 private:
  void Run();

  absl::Mutex mutex_;
  std::deque<absl::AnyInvocable<void()>> work_ ABSL_GUARDED_BY(mutex_);
  bool is_over_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_WORK_THREAD_H_
