#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

namespace {

constexpr int kLearnedDays = 6;
constexpr uint32_t kLearnedHours = 40;  // with uses
constexpr int kMostSlots = 16;          // of 24: whose hours are all hours has none
constexpr int kFar = 3, kNear = 2;

}  // namespace

// An hour of the day that lies far from all those with uses. People stay late now and then, so an
// hour beside the usual ones is odd only, as are a weekend's usual hours.
void OffHours(const UseView& view, Reporter* reporter) {
  if (view.late || view.profile.week == nullptr || !IsMature(view)) return;
  const WeekModel& week = *view.profile.week;
  if (week.UsedHours() < kLearnedHours) return;
  const bool weekend = IsWeekend(view.hour);
  const Hour workday = view.hour + (weekend ? 48 : 0);  // the same hour two days on
  if (week.DaysLike(workday) < kLearnedDays || week.UsedSlots(workday) > kMostSlots) return;
  const int any = week.Distance(view.hour, true);
  if (any >= kFar || (reporter->IsOpen() && any >= kNear)) {
    return reporter->Add(
        {.confidence = any > kFar ? 0.9 : 0.75,
         .observed = absl::StrFormat("use at %02d:00 UTC, %d hours from all hours with uses",
                                     view.hour % 24, any),
         .normal = absl::StrFormat("uses in %d of 24 hours on working days, over %d such days",
                                   week.UsedSlots(workday), week.DaysLike(workday))});
  }
  if (any >= kNear) return reporter->AddOdd();
  if (weekend && week.DaysLike(view.hour) >= 3 && week.UsedSlots(view.hour) == 0) {
    reporter->AddOdd();
  }
}
}  // namespace tokenwatch::rules
