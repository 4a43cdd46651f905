// Whether the broker, and with it every probe, is still there.
#ifndef TOKENWATCH_AGENT_BROKER_BROKER_WATCH_H_
#define TOKENWATCH_AGENT_BROKER_BROKER_WATCH_H_

#include <sys/types.h>

#include <utility>

#include "absl/status/statusor.h"
#include "agent/capture/unique_fd.h"

namespace tokenwatch {

// A killed process closes its descriptors from the last to the first, and to detach a probe takes
// its time: the worker's channels end up to some 100 ms after the last request was seen. What came
// meanwhile was not seen, so the worker must know of the end before it: the kernel sets PF_EXITING
// (proc_pid_stat(5), "flags"; do_exit() in kernel/exit.c) before it closes the first.
//
// Not thread safe.
class BrokerWatch {
 public:
  // To be called before the worker is confined: /proc is closed to it afterwards.
  static absl::StatusOr<BrokerWatch> Open(pid_t broker);

  // Of a process that this is false for, all descriptors were open when the call was made. Once
  // true, always.
  bool IsEnding();

 private:
  explicit BrokerWatch(UniqueFd stat) : stat_(std::move(stat)) {}

  UniqueFd stat_;
  bool is_ending_ = false;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_BROKER_BROKER_WATCH_H_
