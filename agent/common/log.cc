#include "agent/common/log.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <string>

// Where a message comes from in the code is of no use to who reads the journal.
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

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

struct EventRow {
  LogEvent event;
  const char* name;
  const char* message_id;  // random, made once by systemd-id128(1)
};

constexpr std::array<EventRow, 5> kEvents = {{
    {LogEvent::kReady, "ready", "5cbab59dcf2041f38ba45d355c2abe07"},
    {LogEvent::kGap, "gap", "f9770d578fa64122a3362c273a7bfef5"},
    {LogEvent::kDegraded, "degraded", "8e8238b559cc49c8982a32cf0519e40a"},
    {LogEvent::kConnected, "connected", "725b5f2d149b461aa7a4782524ca2eea"},
    {LogEvent::kConnectionLost, "connection-lost", "3a03f47781ee492b83562c191e5c64bd"},
}};

const EventRow& RowOf(LogEvent event) {
  for (const EventRow& row : kEvents) {
    if (row.event == event) return row;
  }
  return kEvents[0];
}

// Without control characters: a name out of /proc must not begin a line or a field.
std::string Escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppend(&out, "\\x", absl::Hex(byte, absl::kZeroPad2));
    } else {
      out += c;
    }
  }
  return out;
}

bool ToJournal() {
  static const bool journal = IsJournal(STDERR_FILENO, getenv("JOURNAL_STREAM"));
  return journal;
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
  const std::string line =
      absl::StrCat(ToJournal() ? absl::StrCat("<", static_cast<int>(level), ">")
                               : absl::StrCat(Name(level), ": "),
                   Escaped(message), "\n");
  // One write keeps lines of several threads whole; there is nobody to tell if it fails.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

const char* EventName(LogEvent event) { return RowOf(event).name; }

const char* EventMessageId(LogEvent event) { return RowOf(event).message_id; }

std::vector<std::string> JournalEntry(LogLevel level, LogEvent event, std::string_view message,
                                      const LogFields& fields) {
  std::vector<std::string> entry = {
      absl::StrCat("MESSAGE=", Escaped(message)),
      absl::StrCat("PRIORITY=", static_cast<int>(level)),
      absl::StrCat("MESSAGE_ID=", EventMessageId(event)),
      absl::StrCat("SYSLOG_IDENTIFIER=", program_invocation_short_name),
      absl::StrCat("TOKENWATCH_EVENT=", EventName(event)),
  };
  for (const auto& [name, value] : fields) {
    entry.push_back(absl::StrCat("TOKENWATCH_", name, "=", Escaped(value)));
  }
  return entry;
}

void LogAbout(LogLevel level, LogEvent event, std::string_view message, const LogFields& fields) {
  if (static_cast<int>(level) > log_level) return;
  if (ToJournal()) {
    std::vector<std::string> entry = JournalEntry(level, event, message, fields);
    std::vector<iovec> parts;
    parts.reserve(entry.size());
    for (std::string& field : entry) parts.push_back({field.data(), field.size()});
    if (sd_journal_sendv(parts.data(), static_cast<int>(parts.size())) == 0) return;
  }
  LogLine(level, message);
}

}  // namespace tokenwatch
