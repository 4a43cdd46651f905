// Files that were written just now: a library that is copied or unpacked has its probes before
// anybody maps it, so that the first request through it is seen.
//
// A hint only. What it misses (file systems of other mount namespaces, files older than the agent,
// a full queue) is found when it is mapped.
#ifndef TOKENWATCH_AGENT_CAPTURE_FILE_EVENTS_H_
#define TOKENWATCH_AGENT_CAPTURE_FILE_EVENTS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "agent/capture/unique_fd.h"

namespace tokenwatch {

// Tells of each regular file that a process closes after writing, by fanotify's notifications: they
// never hold a process up. Used on one thread.
class FileEvents {
 public:
  // Watches the local file systems that are mounted in this process's mount namespace, and those
  // that will be.
  static absl::StatusOr<std::unique_ptr<FileEvents>> Create();

  // To be polled for: POLLIN of the one, POLLPRI of the other.
  int event_fd() const { return events_.get(); }
  int mounts_fd() const { return mounts_.get(); }

  // Hands on what waits, at most some hundred files: `handler` gets a descriptor that is closed
  // afterwards, and a path of the file. False where so many files are written that some have to
  // wait for the next tenth of a second.
  bool Drain(uint64_t now_ns, absl::FunctionRef<void(int fd, const std::string& path)> handler);

  // To be called when the mounts have changed.
  void WatchMounts();

  uint64_t file_systems() const { return watched_.size(); }
  // Of the local ones that are mounted: where the kernel watches nothing (fanotify_mark(2), EXDEV,
  // EOPNOTSUPP).
  uint64_t refused() const { return refused_; }
  uint64_t unseen() const { return unseen_; }  // times that the kernel's queue was full

 private:
  FileEvents() = default;

  UniqueFd events_, mounts_;
  absl::flat_hash_set<std::string> watched_;  // mount id and device
  uint64_t unseen_ = 0;
  uint64_t refused_ = 0;
  uint64_t budget_ =
      0;  // files that may be looked at before `refilled_ns_` and a tenth of a second
  uint64_t refilled_ns_ = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_FILE_EVENTS_H_
