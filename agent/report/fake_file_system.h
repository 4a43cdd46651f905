// A file system in memory that fails in the ways that disks and kernels fail.
#ifndef TOKENWATCH_AGENT_REPORT_FAKE_FILE_SYSTEM_H_
#define TOKENWATCH_AGENT_REPORT_FAKE_FILE_SYSTEM_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/report/file_system.h"

namespace tokenwatch {

enum class FileOperation { kOpen, kRead, kWrite, kSync, kSyncDirectory, kRename, kRemove };

// Thread safe. Files keep two contents, what a process sees and what is durable; directories
// likewise. There are no directories but those that MakePrivateDirectory made.
class FakeFileSystem : public FileSystem {
 public:
  // Called before each operation, without a lock: may block (a slow disk) and what it returns, if
  // not OK, is the operation's result (EIO). Null: no faults.
  using Hook = std::function<absl::Status(FileOperation operation, const std::string& path)>;
  void SetHook(Hook hook);

  // All bytes of all files; a write beyond it is done in part and answered ResourceExhausted.
  void SetCapacity(uint64_t bytes);

  // The process dies in the `operations`th operation from now that changes something (0: the next),
  // which is done in part or not at all. From then on every operation fails.
  void CrashAfter(uint64_t operations, std::mt19937_64* random);
  bool crashed() const;
  // Operations so far that changed something.
  uint64_t changes() const;

  // A new process: handles and locks of the one before are dead, its files are as it left them.
  void Restart();
  // Restart after a power loss: of what was not synced, any sector and any directory entry may be
  // gone, each by itself.
  void RestartAfterPowerLoss(std::mt19937_64* random);

  // What a process sees; empty where there is no such file.
  std::string Content(const std::string& path) const;
  // Changes a byte in place, as a bad disk does.
  void Corrupt(const std::string& path, uint64_t offset);
  uint64_t TotalBytes() const;

  absl::Status MakePrivateDirectory(const std::string& path, std::string_view marker) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override;

 private:
  friend class FakeFile;
  friend class FakeLock;
  struct Inode {
    std::string content;
    std::string durable;
  };
  using Entries = std::map<std::string, std::shared_ptr<Inode>>;

  // What each operation begins with. `torn` is set where the process dies in this one.
  absl::Status Begin(FileOperation operation, const std::string& path, uint64_t life, bool* torn)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status RunHook(FileOperation operation, const std::string& path)
      ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t TotalBytesLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint64_t life() const ABSL_LOCKS_EXCLUDED(mutex_);

  mutable absl::Mutex mutex_;
  Hook hook_ ABSL_GUARDED_BY(mutex_);
  uint64_t capacity_ ABSL_GUARDED_BY(mutex_) = std::numeric_limits<uint64_t>::max();
  uint64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t crash_at_ ABSL_GUARDED_BY(mutex_) = std::numeric_limits<uint64_t>::max();
  std::mt19937_64* random_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool crashed_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t life_ ABSL_GUARDED_BY(mutex_) = 0;
  std::set<std::string> directories_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> locks_ ABSL_GUARDED_BY(mutex_);
  Entries seen_ ABSL_GUARDED_BY(mutex_);
  Entries durable_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_FAKE_FILE_SYSTEM_H_
