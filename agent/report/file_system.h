// The part of a file system that the spool needs: a seam, so that tests can cut the power.
#ifndef TOKENWATCH_AGENT_REPORT_FILE_SYSTEM_H_
#define TOKENWATCH_AGENT_REPORT_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tokenwatch {

// An open file, closed with the object. Calls on one object may come from several threads.
class File {
 public:
  virtual ~File() = default;

  // At most `size` bytes; fewer only at the end of the file.
  virtual absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t size) = 0;

  // Writes all of `bytes` or fails; after a failure any part of them may be in the file.
  virtual absl::Status WriteAt(uint64_t offset, std::string_view bytes) = 0;

  // Makes what was written durable (fdatasync). After a failure nothing written since the last
  // success can be relied on, not even if a later call succeeds: the kernel drops such pages.
  virtual absl::Status Sync() = 0;

  virtual absl::StatusOr<uint64_t> Size() = 0;
};

// Held until the object goes, or the process dies.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

enum class OpenMode {
  kRead,
  kCreate,  // must not exist yet; mode 0600
  kUpdate,  // created where missing; mode 0600
};

// Thread safe. Paths are absolute or relative to the working directory. Errors carry the path and
// the system's words: NotFound, AlreadyExists, PermissionDenied, ResourceExhausted where the disk
// or a quota is full, else another code.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // Makes a directory that only this user can enter (0700), with its parents. One that exists is
  // closed to others if it is empty or holds a file named `marker`; FailedPrecondition if it is
  // open to others and neither, because it is then somebody else's.
  virtual absl::Status MakePrivateDirectory(const std::string& path, std::string_view marker) = 0;

  // Names of the entries, without "." and "..", in no order.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& directory) = 0;

  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;

  // Makes the directory's entries (created, renamed, removed) durable.
  virtual absl::Status SyncDirectory(const std::string& path) = 0;

  // An exclusive lock on a file that is created where missing. AlreadyExists, with the holder's
  // process id in the message, where another process holds it.
  virtual absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;
};

// The machine's own. Lives until the program ends.
FileSystem* RealFileSystem();

// The same, but what is at or below `base` is reached by `directory`, an open descriptor of it that
// outlives the object: also where the way there is closed to this process by now.
std::unique_ptr<FileSystem> FileSystemWithin(std::string base, int directory);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_FILE_SYSTEM_H_
