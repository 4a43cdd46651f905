// Whether a file is still the one that was read.
#ifndef TOKENWATCH_AGENT_COMMON_FILE_STAMP_H_
#define TOKENWATCH_AGENT_COMMON_FILE_STAMP_H_

#include <sys/stat.h>

#include <cstdint>
#include <string>

namespace tokenwatch {

struct FileStamp {
  uint64_t inode = 0, size = 0;
  int64_t seconds = 0, nanoseconds = 0;

  // Of a file that cannot be looked at, all zeros. Taken before the file is read, so that a change
  // meanwhile is seen the next time.
  static FileStamp Of(const std::string& path) {
    struct stat now{};
    if (stat(path.c_str(), &now) != 0) return {};
    return {now.st_ino, static_cast<uint64_t>(now.st_size), now.st_mtim.tv_sec,
            now.st_mtim.tv_nsec};
  }
  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_FILE_STAMP_H_
