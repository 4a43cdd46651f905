// Lets the next probe be attached at once.
//
// Attaching takes 40 us, but only while the kernel's lock for it (dup_mmap_sem, a
// percpu_rw_semaphore of kernel/events/uprobes.c) has lately been taken; else it first waits for an
// RCU grace period, 4 to 20 ms on 6.18, in which a small program sends its first request and ends.
// Attaching a probe that no process can hit lets the grace period pass while a process is still on
// its way to its library.
#ifndef TOKENWATCH_AGENT_CAPTURE_ATTACH_WARMER_H_
#define TOKENWATCH_AGENT_CAPTURE_ATTACH_WARMER_H_

#include <atomic>
#include <cstdint>

#include "agent/capture/kernel_programs.h"
#include "agent/capture/unique_fd.h"
#include "agent/capture/work_thread.h"

namespace tokenwatch {

class AttachWarmer {
 public:
  // `programs` must outlive this.
  explicit AttachWarmer(KernelPrograms* programs);

  // Returns at once, and does nothing where it was called a moment ago. Any thread.
  void Warm(uint64_t now_ns);

 private:
  struct Attached {
    UniqueFd many;
    Link one;
  };
  Attached Attach() const;

  KernelPrograms* programs_;
  UniqueFd file_;  // without a name and never mapped
  std::atomic<uint64_t> warmed_ns_{0};
  std::atomic<int> open_{0};  // probes that were not closed yet
  WorkThread closer_, attacher_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_ATTACH_WARMER_H_
