#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"
#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

namespace {

constexpr int kLearnedDays = 4, kLearnedBlockDays = 7, kLearnedDayDays = 6;
constexpr double kLeastUses = 40;
constexpr double kDeviations = 10;
// Over the greatest hour so far; more where few hours say how great it may be.
constexpr double kOverPeak = 4, kOverYoungPeak = 6;
constexpr double kLeastPair = 45, kOverPair = 1.25;
constexpr uint32_t kYoungHours = 100;
constexpr double kLeastSteady = 20, kOverSteadyPeak = 2.2, kOverSteadyPair = 3.5,
                 kOverSteadyHour = 3, kKnownHour = 0.7;
constexpr double kOverHour = 6, kOverDay = 4, kOverBlock = 4;
// Over a usual hour with uses: less is one more of them, at another time.
constexpr double kOverUsual = 4;
// A person's longest session says little of the next one.
constexpr double kOverPersonal = 10, kLeastPersonal = 150;
// Below it great hours come at any time, and an hour of the day says nothing.
constexpr double kRegular = 0.25;
constexpr double kOddBlock = 7, kLeastBlock = 15;
constexpr size_t kTroubled = 2;  // other workloads with errors of the same provider

// Clients try again what a provider fails to do.
bool IsRetried(const UseView& view) {
  const Word provider = view.profile.provider;
  return 2 * view.profile.hour_failed > view.profile.hour_uses &&
         view.fleet.OthersFailed(provider, view.features.service) >= kTroubled;
}

bool IsPersonalBurst(const UseView& view, double uses) {
  const WeekModel& week = *view.profile.week;
  return IsPersonal(view.features.habitat, ShapeOf(week, view.profile.active_days)) &&
         (uses < kLeastPersonal || uses < kOverPersonal * week.Peak());
}

// A token of many hours and of days that are like each other: less than four times its greatest
// hour is enough, and at an hour that it knows, less than its greatest.
bool IsOverSteady(const UseView& view, double uses, double pair) {
  const WeekModel& week = *view.profile.week;
  if (week.UsedHours() < kYoungHours || !week.HasSteadyDays(view.hour)) return false;
  const double over = week.Expected(view.hour) + kDeviations * week.Deviation(view.hour);
  if (uses < kLeastSteady || uses < over) return false;
  if (uses > kOverSteadyPeak * week.Peak()) return true;
  if (pair >= kLeastPair && pair > 2 * over && pair > kOverSteadyPair * week.Peak()) return true;
  return week.ChanceOfUse(view.hour) >= kKnownHour && week.DaysLike(view.hour) >= kLearnedDays &&
         uses > kOverSteadyHour * week.HourPeak(view.hour);
}

// Three hours in which little ever happened: a few uses more, night after night, are odd.
void LookAtBlock(const UseView& view, double uses, Reporter* reporter) {
  const WeekModel& week = *view.profile.week;
  if (week.Days(view.hour) < kLearnedBlockDays || week.Regularity() < kRegular) return;
  const double block = uses + static_cast<double>(week.LastTwo(view.hour));
  double expected = 0;
  for (const int back : {0, 1, 2}) expected += week.Expected(view.hour - back);
  const double peak = week.BlockPeakAround(view.hour);
  const double deviation = std::sqrt(2 * (expected + 1));
  if (block < kOverUsual * week.PerUsedHour()) return;
  if (block < kOddBlock || block < 2.5 * peak || block < expected + 5 * deviation) return;
  if (block < kLeastBlock || block < kOverBlock * peak || block < expected + 8 * deviation) {
    return reporter->AddOdd();
  }
  reporter->Add({.confidence = 0.75,
                 .observed = absl::StrFormat("%.0f uses within three hours", block),
                 .normal = absl::StrFormat("%.1f in these hours of the day, at most %.0f around "
                                           "them",
                                           expected, peak)});
}

}  // namespace

// Against the token's own hours: above all of them, above this hour of the day, or a day above all
// days. What is far above is said at once, not when the hour is over.
void VolumeSpike(const UseView& view, Reporter* reporter) {
  const Profile& profile = view.profile;
  if (view.late || profile.week == nullptr || !IsMature(view)) return;
  const WeekModel& week = *profile.week;
  const auto uses = static_cast<double>(profile.hour_uses);
  if (week.Days(view.hour) < kLearnedDays) return;
  const double again = reporter->IsOpen() ? 0.7 : 1;
  const double over_peak = week.UsedHours() < kYoungHours ? kOverYoungPeak : kOverPeak;
  // Half of an hour's burst may lie in the hour before.
  const double pair = uses + static_cast<double>(week.LastHour(view.hour));
  const double over = again * over_peak * week.Peak();
  const bool over_all = (uses >= kLeastUses && uses > over) ||
                        (pair >= kLeastPair && pair > kOverPair * over && 2 * uses > week.Peak());
  const double expected = week.Expected(view.hour);
  const bool over_steady = IsOverSteady(view, uses, pair);
  const bool over_hour = uses >= kLeastUses && week.DaysLike(view.hour) >= kLearnedDays &&
                         uses > expected + kDeviations * week.Deviation(view.hour) &&
                         uses > again * (kOverHour * week.PeakAround(view.hour) + 30) &&
                         uses > 0.5 * week.Peak() && week.Regularity() >= kRegular &&
                         uses > kOverUsual * week.PerUsedHour();
  const double day = static_cast<double>(week.DayUses()) + uses;
  const bool over_day = week.DaysLike(view.hour) >= kLearnedDayDays && day > 150 &&
                        day > again * kOverDay * week.day_peak() &&
                        day > week.DayMean(view.hour) + 6 * week.DayDeviation(view.hour);
  if (!over_all && !over_hour && !over_day && !over_steady)
    return LookAtBlock(view, uses, reporter);
  if (IsRetried(view) || IsPersonalBurst(view, uses)) return;
  if (over_all || over_hour || over_steady) {
    return reporter->Add(
        {.confidence = over_all ? 0.95 : 0.8,
         .observed = absl::StrFormat("%.0f uses within this hour", uses),
         .normal = absl::StrFormat("%.1f in this hour of the day, at most %.0f in any", expected,
                                   week.Peak())});
  }
  reporter->Add({.confidence = 0.75,
                 .observed = absl::StrFormat("%.0f uses on this day so far", day),
                 .normal = absl::StrFormat("%.0f a day, at most %.0f", week.DayMean(view.hour),
                                           week.day_peak())});
}
}  // namespace tokenwatch::rules
