#include "agent/common/log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>

namespace tokenwatch {
namespace {

std::atomic<int> log_level{static_cast<int>(LogLevel::kInfo)};

const char* Name(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return "error";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kDebug:
      return "debug";
  }
  return "?";
}

}  // namespace

void SetLogLevel(LogLevel level) { log_level = static_cast<int>(level); }

bool IsJournal(int fd, const char* journal_stream) {
  struct stat stream;
  if (journal_stream == nullptr || fstat(fd, &stream) != 0) return false;
  return absl::StrCat(stream.st_dev, ":", stream.st_ino) == journal_stream;
}

void LogLine(LogLevel level, std::string_view message) {
  if (static_cast<int>(level) > log_level) return;
  static const bool journal = IsJournal(STDERR_FILENO, getenv("JOURNAL_STREAM"));
  std::string line =
      journal ? absl::StrCat("<", static_cast<int>(level), ">") : absl::StrCat(Name(level), ": ");
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppend(&line, "\\x", absl::Hex(byte, absl::kZeroPad2));
    } else {
      line += c;
    }
  }
  line += '\n';
  // One write keeps lines of several threads whole; there is nobody to tell if it fails.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace tokenwatch
