// One line a message on standard error, with the syslog priority that journald understands. What a
// person may want to be told of is an event: in the journal an entry with fields of its own.
#ifndef TOKENWATCH_AGENT_COMMON_LOG_H_
#define TOKENWATCH_AGENT_COMMON_LOG_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

// Kinds of entries that scripts find in the journal: `journalctl TOKENWATCH_EVENT=gap`, or by the
// MESSAGE_ID that packaging/systemd/tokenwatch.catalog explains. Names and ids never change.
enum class LogEvent { kReady, kGap, kDegraded, kConnected, kConnectionLost };

// The event's name, e.g. "connection-lost", and its MESSAGE_ID, 32 hexadecimal digits.
const char* EventName(LogEvent event);
const char* EventMessageId(LogEvent event);

// A field's name, capital letters and '_' without the prefix TOKENWATCH_, and its value.
using LogFields = std::vector<std::pair<std::string, std::string>>;

// What the journal is sent for an event: "NAME=value", control characters in values escaped. Public
// for its tests.
std::vector<std::string> JournalEntry(LogLevel level, LogEvent event, std::string_view message,
                                      const LogFields& fields);

// Sends an event to the journal where standard error goes there; else, and where the journal does
// not take it, writes the message as LogLine does. Any thread.
void LogAbout(LogLevel level, LogEvent event, std::string_view message,
              const LogFields& fields = {});

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_LOG_H_
