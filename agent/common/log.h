// One line a message on standard error, with the syslog priority that journald understands.
#ifndef TOKENWATCH_AGENT_COMMON_LOG_H_
#define TOKENWATCH_AGENT_COMMON_LOG_H_

#include <string_view>

#include "absl/strings/str_cat.h"

namespace tokenwatch {

enum class LogLevel { kError = 3, kWarning = 4, kInfo = 6, kDebug = 7 };

// Messages above this level are dropped. Default kInfo. Any thread.
void SetLogLevel(LogLevel level);

// Whether `fd` is the stream to systemd's journal that JOURNAL_STREAM (systemd.exec(5)) names;
// null: the variable is not set.
bool IsJournal(int fd, const char* journal_stream);

// Writes "<priority>message" (sd-daemon(3)) where standard error goes to systemd's journal, else
// "level: message". Control characters in `message` are escaped. Any thread.
void LogLine(LogLevel level, std::string_view message);

template <typename... Args>
void Log(LogLevel level, const Args&... args) {
  LogLine(level, absl::StrCat(args...));
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_LOG_H_
