#include "agent/report/gap_log.h"

#include <utility>

namespace tokenwatch {
namespace {

constexpr absl::Duration kPause = absl::Minutes(1);

std::string Rfc3339(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

}  // namespace

GapLog::GapLog()
    : GapLog([](const std::string& message, const LogFields& fields) {
        LogAbout(LogLevel::kWarning, LogEvent::kGap, message, fields);
      }) {}

void GapLog::Add(const Gap& gap, absl::Time now) {
  uint64_t count = gap.count;
  {
    const absl::MutexLock lock(&mutex_);
    Kind& kind = kinds_[gap.kind];
    if (now - kind.logged < kPause) {
      kind.untold += gap.count;
      return;
    }
    kind.logged = now;
    count += std::exchange(kind.untold, 0);
  }
  const std::string since = Rfc3339(gap.since);
  const std::string until = Rfc3339(gap.until);
  emit_(absl::StrCat("gap ", gap.kind, ", ", count, " from ", since, " to ", until),
        {{"KIND", gap.kind},
         {"COUNT", absl::StrCat(count)},
         {"SINCE", since},
         {"UNTIL", until},
         {"PROGRAM", gap.exe.empty() ? gap.comm : gap.exe}});
}

}  // namespace tokenwatch
