#include "collector/cli/cursor_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

constexpr size_t kMostBytes = 512;

absl::Status Failed(const char* what, const std::string& path) {
  return absl::FailedPreconditionError(
      absl::StrCat("cannot ", what, " the cursor file '", path, "': ", std::strerror(errno)));
}

}  // namespace

absl::StatusOr<std::string> ReadCursor(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT) return std::string();
    return Failed("read", path);
  }
  const absl::Cleanup close_it = [fd] { close(fd); };
  char bytes[kMostBytes];
  const ssize_t got = read(fd, bytes, sizeof bytes);
  if (got < 0) return Failed("read", path);
  std::string text(bytes, static_cast<size_t>(got));
  const bool ended = text.ends_with('\n');
  if (ended) text.pop_back();
  const bool is_place = ended && !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
                          return c > 0x20 && c < 0x7f;
                        });
  if (is_place) return text;
  return absl::InvalidArgumentError(absl::StrCat(
      "'", path,
      "' is no cursor file of tokenwatch tail; name another one, or remove it to begin "
      "anew"));
}

absl::Status WriteCursor(const std::string& path, const std::string& place) {
  const std::string next = path + ".new";
  const int fd = open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return Failed("write", path);
  const std::string text = place + "\n";
  const bool written =
      write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  if (close(fd) != 0 || !written || std::rename(next.c_str(), path.c_str()) != 0) {
    return Failed("write", path);
  }
  // The name, too: a rename is durable with its directory.
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int directory_fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory_fd < 0) return Failed("write", path);
  const bool synced = fsync(directory_fd) == 0;
  close(directory_fd);
  return synced ? absl::OkStatus() : Failed("write", path);
}

}  // namespace tokenwatch
