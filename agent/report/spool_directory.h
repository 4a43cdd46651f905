// What a spool directory remembers besides records: whose it is, and until when it was watched
// over.
#ifndef TOKENWATCH_AGENT_REPORT_SPOOL_DIRECTORY_H_
#define TOKENWATCH_AGENT_REPORT_SPOOL_DIRECTORY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/report/file_system.h"

namespace tokenwatch {

// Every request that was seen until `time` is in the spool, but for `open` ones that had not ended.
struct AliveMark {
  absl::Time time;
  bool stopped = false;  // in an orderly way, not killed
  uint64_t open = 0;
  absl::Time open_since = absl::UnixEpoch();  // when the first of them began; with `open` only
};

// Files in the directory (mode 0700): `lock`; `agent-id`, made once; `alive`, two 512-byte slots
// that are written in turn, so that a torn write leaves the other. Not thread safe.
class SpoolDirectory {
 public:
  // Makes the directory where it is missing, and closes it to others.
  static absl::Status Prepare(const std::string& path, FileSystem* file_system);

  // Whether a directory with these entries is a spool, or may become one.
  static bool IsOurs(const std::vector<std::string>& names);

  // Creates what is missing and locks the directory for this process. Every error is one sentence
  // that says what to do.
  static absl::StatusOr<std::unique_ptr<SpoolDirectory>> Open(const std::string& path,
                                                              FileSystem* file_system);

  // Of the file that the owner of the directory at `path` holds locked.
  static std::string LockPath(const std::string& path) { return path + "/lock"; }

  const std::string& path() const { return path_; }
  const std::string& agent_id() const { return agent_id_; }  // "agt_" and 26 digits

  // Left by the process before this one; none where no agent has watched from this directory.
  const std::optional<AliveMark>& last_mark() const { return last_mark_; }

  // Cheap enough for every record if not `durable`: a kill leaves the mark, a power loss leaves it
  // or an earlier one.
  absl::Status WriteMark(const AliveMark& mark, bool durable);

 private:
  SpoolDirectory(std::string path, FileSystem* file_system)
      : path_(std::move(path)), file_system_(file_system) {}
  absl::Status LoadAgentId();
  absl::Status LoadMark();

  const std::string path_;
  FileSystem* const file_system_;
  std::unique_ptr<FileLock> lock_;
  std::string agent_id_;
  std::unique_ptr<File> alive_;
  std::optional<AliveMark> last_mark_;
  uint64_t marks_written_ = 0;  // by all processes: the newer slot has the greater number
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_SPOOL_DIRECTORY_H_
