// Files that nobody may write to while probes are on them.
#ifndef TOKENWATCH_AGENT_CAPTURE_WRITE_GUARD_H_
#define TOKENWATCH_AGENT_CAPTURE_WRITE_GUARD_H_

#include <atomic>
#include <thread>

#include "absl/functional/any_invocable.h"
#include "absl/synchronization/notification.h"

namespace tokenwatch {

// The kernel puts a probe's breakpoint wherever the file's offset is mapped from now on, whatever
// the file holds there by then: a library that is written over in place would run into breakpoints
// in the middle of its instructions. A lease (fcntl, F_SETLEASE) lets whoever opens or truncates
// the file wait until it is given back; kernel.lease-break-time, 45 s, bounds that. It ends with
// the open file, so that a dead agent holds nobody up.
//
// Owns a thread. Guard and the static functions on any thread.
class WriteGuard {
 public:
  // `on_writer` runs on the thread when somebody waits to write to a file, it does not say to
  // which, and again every some ms as long as it returns true.
  explicit WriteGuard(absl::AnyInvocable<bool()> on_writer);
  ~WriteGuard();

  // False where the file is open for writing, or its file system has no leases.
  bool Guard(int fd) const;
  // Whether somebody waits for a guarded file.
  static bool IsAwaited(int fd);
  static void Release(int fd);

 private:
  void Run();

  absl::AnyInvocable<bool()> on_writer_;
  std::atomic<bool> is_over_{false};
  absl::Notification started_;
  int thread_id_ = 0;
  std::thread thread_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_WRITE_GUARD_H_
