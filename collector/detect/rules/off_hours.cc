#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {
namespace {

constexpr double kRare = 0.002, kOdd = 0.01;
// A program's hours are its own: its kind says little of them.
constexpr uint32_t kProgramHours = 15, kProgramDays = 8;
// A new hour is rare for what runs by the clock, or for what kept its hours for long.
constexpr double kClockRare = 0.025, kClockConcentration = 0.93;
constexpr double kProgramRare = 0.004;
constexpr int kProgramFar = 4;
constexpr int kFar = 5;             // hours from the middle of its own
constexpr uint32_t kLeastDays = 4;  // with uses

// People work on weekends now and then; a service that never did was told to.
bool IsFreeWeekend(const UseView& view) {
  if (!IsWeekend(view.hour) || view.profile.week == nullptr) return false;
  if (view.workload.weekend != 0) return false;
  return view.features.habitat != Habitat::kSession && view.profile.week->KeepsWeekends();
}

bool IsSaturday(Hour hour) { return IsWeekend(hour) && IsWeekend(hour + 24); }

}  // namespace

// An hour of the day far from the token's own, farther than such tokens ever stray. Whoever keeps
// no hours has no odd ones.
void OffHours(const UseView& view, Reporter* reporter) {
  if (view.late || view.profile.active_days < kLeastDays) return;
  if (IsFreeWeekend(view)) {
    return reporter->Add(
        {.confidence = 0.75,
         .observed = IsSaturday(view.hour) ? "used on a Saturday (UTC)" : "used on a Sunday (UTC)",
         .normal =
             absl::StrFormat("%d days with uses, none on a weekend", view.profile.active_days)});
  }
  if (view.hours == nullptr) return;
  const HourShape& hours = *view.hours;
  const int distance = hours.Distance(view.hour);
  if (!IsPersonal(view.features.habitat, hours)) {
    const bool regular =
        hours.hours >= kProgramHours && view.profile.active_days >= kProgramDays &&
        hours.NewHourChance() <=
            (hours.concentration >= kClockConcentration ? kClockRare : kProgramRare);
    const bool odd = hours.Near(view.hour) == 0 && distance >= kProgramFar;
    if (!regular || !(odd || reporter->IsOpen())) return;
    return reporter->Add(
        {.confidence = 0.8,
         .observed = absl::StrFormat("use at %02d:%02d UTC, %d hours from the middle of its hours",
                                     view.hour % 24, view.time_us / (int64_t{60} * 1'000'000) % 60,
                                     distance),
         .normal =
             absl::StrFormat("around %02.0f:00 UTC; never near this hour in %d hours with uses",
                             hours.middle, hours.hours)});
  }
  if (distance < kFar) return;
  const double chance = view.hour_chance;
  if (chance <= kRare || (chance <= kOdd && reporter->IsOpen())) {
    return reporter->Add(
        {.confidence = chance < kRare / 3 ? 0.9 : 0.75,
         .observed = absl::StrFormat("use at %02d:%02d UTC, %d hours from the middle of its hours",
                                     view.hour % 24, view.time_us / (int64_t{60} * 1'000'000) % 60,
                                     distance),
         .normal =
             absl::StrFormat("around %02.0f:00 UTC; at such hours once in %.0f hours with uses",
                             hours.middle, 1 / chance)});
  }
  if (chance <= kOdd) reporter->AddOdd();
}

}  // namespace tokenwatch::rules
