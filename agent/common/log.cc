#include "agent/common/log.h"

#include <unistd.h>

#include <atomic>
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

void LogLine(LogLevel level, std::string_view message) {
  if (static_cast<int>(level) > log_level) return;
  static const bool terminal = isatty(STDERR_FILENO) == 1;
  std::string line =
      terminal ? absl::StrCat(Name(level), ": ") : absl::StrCat("<", static_cast<int>(level), ">");
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
