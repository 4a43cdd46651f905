#include "collector/detect/quiet_day.h"

#include <algorithm>
#include <cmath>

namespace tokenwatch {
namespace {

constexpr uint32_t kRegularDays = 5;
constexpr Hour kQuietHours = 5 * 24;  // beyond it a token is gone, and no sign of a quiet fleet
// A day is quiet where so many of the tokens that are used regularly are silent at once.
constexpr double kQuietShare = 0.06;
constexpr size_t kQuietLeast = 3;
// Or where half of those of which enough was to be expected have less than this share of it.
constexpr size_t kActivityLeast = 8;
constexpr double kActivityExpected = 8, kQuietActivity = 0.55;
// Who tells a working day from a weekend: by that many standard deviations of a working day.
constexpr double kVoteDeviations = 3;
constexpr int kVoteDays = 2;  // of each kind, that were watched
constexpr size_t kLeastVotes = 6;
constexpr double kWeekendShare = 0.6;

}  // namespace

size_t QuietDay::KindOf(const Profile& profile) {
  const bool whole_day =
      profile.week != nullptr && !ShapeOf(*profile.week, profile.active_days).HasHours();
  return whole_day ? 1 : 0;
}

void QuietDay::Add(const Profile& profile) {
  if (profile.active_days < kRegularDays || !profile.successor.empty() ||
      hour_ - HourOf(profile.last_us) > kQuietHours) {
    return;
  }
  Kind& kind = kinds_[KindOf(profile)];
  ++kind.regular;
  if (profile.IsLongQuiet()) ++kind.silent;
  if (profile.week == nullptr) return;
  double expected = 0;
  for (Hour hour = hour_ / 24 * 24; hour < hour_; ++hour) expected += profile.week->Expected(hour);
  if (expected >= kActivityExpected) {
    kind.activity.push_back(static_cast<double>(profile.week->DayUses()) / expected);
  }
  Vote(*profile.week);
}

void QuietDay::Vote(const WeekModel& week) {
  const Hour day = hour_ / 24 * 24;
  // A Saturday near by, for what weekends are like.
  Hour saturday = day;
  while (!IsWeekend(saturday)) saturday += 24;
  if (saturday == day) return;
  if (week.DaysLike(day) < kVoteDays || week.DaysLike(saturday) < kVoteDays) return;
  double working = 0.5, weekend = 0.5;
  for (Hour hour = day; hour < hour_; ++hour) {
    working += week.Expected(hour);
    weekend += week.Expected(saturday + hour - day);
  }
  const double apart = (working - weekend) / std::sqrt(working * week.DayDispersion(day));
  if (apart < kVoteDeviations) return;
  ++votes_;
  // Which of the two is likelier, were both Poisson's.
  const auto uses = static_cast<double>(week.DayUses());
  if (uses * std::log(working / weekend) < working - weekend) ++votes_for_weekend_;
}

bool QuietDay::IsLikeWeekend() const {
  return votes_ >= kLeastVotes &&
         static_cast<double>(votes_for_weekend_) > kWeekendShare * static_cast<double>(votes_);
}

bool QuietDay::Kind::IsQuiet() {
  if (silent > std::max<double>(kQuietLeast, kQuietShare * static_cast<double>(regular))) {
    return true;
  }
  if (activity.size() < kActivityLeast) return false;
  const auto middle = activity.begin() + static_cast<ptrdiff_t>(activity.size() / 2);
  std::nth_element(activity.begin(), middle, activity.end());
  return *middle < kQuietActivity;
}

void QuietDay::Decide() {
  for (Kind& kind : kinds_) kind.quiet = kind.IsQuiet() || IsLikeWeekend();
}

bool QuietDay::IsQuiet(const Profile& profile) const { return kinds_[KindOf(profile)].quiet; }

}  // namespace tokenwatch
