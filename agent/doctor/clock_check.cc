// The wall clock: times of uses and certificates are no better than it.
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "agent/doctor/check.h"

namespace tokenwatch {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kTolerated = absl::Minutes(1);

// When the last of the files was written; the epoch where there is none.
absl::Time LastWritten(const std::string& directory) {
  absl::Time last = absl::UnixEpoch();
  std::error_code error;
  for (auto at = fs::directory_iterator(directory, error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    std::error_code ignored;
    const auto written = fs::last_write_time(at->path(), ignored);
    if (ignored) continue;
    last = std::max(last, absl::FromChrono(std::chrono::file_clock::to_sys(written)));
  }
  return last;
}

}  // namespace

std::vector<Finding> CheckClock(const DoctorContext& context) {
  std::vector<Finding> findings;
  const absl::Time now = absl::Now();
  if (context.host.is_clock_synchronised()) {
    findings.push_back(Ok("clock", "synchronised"));
  } else {
    findings.push_back(Degraded("clock", "nothing synchronises it",
                                "run an NTP client, systemd-timesyncd or chrony"));
  }
  const absl::Duration ahead = LastWritten(context.options.spool_dir) - now;
  if (ahead > kTolerated) {
    findings.push_back(
        Fails("clock",
              absl::StrCat("is ", absl::FormatDuration(absl::Trunc(ahead, absl::Seconds(1))),
                           " behind the last file of the spool"),
              "set the clock: uses would get wrong times"));
  }
  return findings;
}

}  // namespace tokenwatch
