#include "absl/strings/str_format.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

namespace {

constexpr double kLeastExpected = 25;
constexpr double kOverLongest = 2.5;
constexpr double kLeastHours = 3, kLeastSharedHours = 4, kLeastDayHours = 24;
constexpr uint32_t kLeastDays = 6;
constexpr double kLeastUsedHours = 4;  // with uses to be expected
// Whose days differ by much is idle for hours and then busy: one such time may just be missing.
constexpr double kLeastBusy = 5;
constexpr double kRegular = 0.2;  // as of volume_spike: what comes at any time may stay away

}  // namespace

// Uses that were to be expected did not come, more of them than in any silence before. Not where
// the fleet is quiet, another token took its place, or its workload has ended as a whole.
void VolumeDrop(const QuietView& view, Reporter* reporter) {
  const Profile& profile = view.profile;
  if (profile.week == nullptr || profile.active_days < kLeastDays || view.fleet_quiet ||
      !profile.successor.empty())
    return;
  if (profile.quiet_since == 0 || profile.quiet_since == profile.told_quiet) return;
  const int64_t since_us =
      profile.quiet_uses == 0 ? profile.last_us : profile.quiet_since * kMicrosPerHour;
  const double hours =
      static_cast<double>(view.time_us - since_us) / static_cast<double>(kMicrosPerHour);
  // A whole day where a day has quiet hours of its own; longer where the workload's other tokens
  // may be about to end as well.
  const double least = view.hours.HasHours()      ? kLeastDayHours
                       : view.workload_has_others ? kLeastSharedHours
                                                  : kLeastHours;
  if (view.personal || hours < least) return;
  if (view.expected < kLeastExpected || view.expected < kOverLongest * profile.longest_quiet) {
    return;
  }
  if (profile.week->Regularity() < kRegular) return;
  const double busy = view.expected / profile.week->DayDispersion(HourOf(profile.last_us));
  if (profile.longest_quiet_hours > 0.5 && busy < kLeastBusy) return;
  if (profile.quiet_hours < kLeastUsedHours ||
      profile.quiet_hours < kOverLongest * profile.longest_quiet_hours) {
    return;
  }
  if (view.workload_has_others && !view.workload_lives) return;
  reporter->Add(
      {.confidence = 0.8,
       .observed = profile.quiet_uses == 0
                       ? absl::StrFormat("no use for %.0f hours", hours)
                       : absl::StrFormat("%d uses in %.0f hours", profile.quiet_uses, hours),
       .normal = absl::StrFormat("%.0f uses in these hours; at most %.0f ever failed to come",
                                 view.expected + static_cast<double>(profile.quiet_uses),
                                 profile.longest_quiet)});
}
}  // namespace tokenwatch::rules
