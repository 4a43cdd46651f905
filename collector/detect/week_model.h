// When a token is used, and how much: 24 hours of working days and 24 of weekends, UTC.
#ifndef TOKENWATCH_COLLECTOR_DETECT_WEEK_MODEL_H_
#define TOKENWATCH_COLLECTOR_DETECT_WEEK_MODEL_H_

#include <array>
#include <cstdint>

#include "collector/detect/seen_set.h"

namespace tokenwatch {

// An hour of a day of one of two kinds. A shape of 168 hours would need a month before an hour had
// been seen four times.
inline constexpr int kSlots = 48;
bool IsWeekend(Hour hour);
int SlotOf(Hour hour);

// Means follow slowly, a fifth a day, so a level that stays becomes normal within a week or two.
class WeekModel {
 public:
  struct Slot {
    float mean = 0;     // uses in such an hour
    float peak = 0;     // most in one, fading by half in two weeks
    uint16_t days = 0;  // on which the hour was watched
    uint16_t used = 0;  // of them, on which there was a use
  };

  // An hour is over, with so many uses. Called for each hour once, in their order. Of an hour that
  // a rule found odd means and greatest values hardly move: the next one like it is odd as well.
  void Close(Hour hour, uint64_t uses, bool odd);

  double Expected(Hour hour) const { return slots_[SlotOf(hour)].mean; }
  // Whether no weekend of several had a use, while working days have many; 0 UTC to 24 UTC.
  bool KeepsWeekends() const;
  // Of such hours, the share with a use.
  double ChanceOfUse(Hour hour) const;
  // Standard deviation of an hour's uses around what is expected, by how far past hours were off.
  double Deviation(Hour hour) const;
  // Most in any hour, and in this hour of the day or the ones beside it; faded.
  double Peak() const { return peak_; }
  double PeakAround(Hour hour) const;
  // Most in this hour of the day, faded, or what is usual in the ones beside it.
  double HourPeak(Hour hour) const;
  // Whether days of this hour's kind have about as many uses each.
  bool HasSteadyDays(Hour hour) const;
  // Mean uses of an hour with uses.
  double PerUsedHour() const;
  // How regular the great hours are: the mean of such an hour over its peak. Near 1 for what runs
  // by the clock, near 0 for what comes in bursts at any hour.
  double Regularity() const;
  uint64_t LastHour(Hour hour) const { return hour == last_hour_ + 1 ? last_[0] : 0; }
  // Uses in the two hours before, and the most in three hours that end around this one; faded.
  uint64_t LastTwo(Hour hour) const;
  double BlockPeakAround(Hour hour) const;
  // Days of this hour's kind (working days or weekends) that were watched.
  int DaysLike(Hour hour) const { return slots_[SlotOf(hour)].days; }
  // Hours with a use that were watched.
  uint32_t UsedHours() const { return used_hours_; }
  // Days of both kinds that were watched at this hour of the day.
  int Days(Hour hour) const {
    return slots_[((hour % 24) + 24) % 24].days + slots_[24 + ((hour % 24) + 24) % 24].days;
  }
  // Of them, those with a use then; `hour_of_day`: 0 to 23.
  uint32_t Used(int hour_of_day) const {
    return uint32_t{slots_[hour_of_day].used} + slots_[24 + hour_of_day].used;
  }
  // Slots that are used, of 24, on days of this kind.
  int UsedSlots(Hour hour) const;

  double day_peak() const { return day_peak_; }
  double DayMean(Hour hour) const { return day_mean_[IsWeekend(hour) ? 1 : 0]; }
  double DayDeviation(Hour hour) const;
  // How far days of this hour's kind stray: variance over mean of their uses, at least 1. Far above
  // it for what is idle for hours and then busy for hours.
  double DayDispersion(Hour hour) const;
  uint64_t DayUses() const { return day_uses_; }  // closed hours of the day that `Close` is in

  // For storing.
  struct State {
    std::array<Slot, kSlots> slots;
    float noise = 1, peak = 0, day_peak = 0;
    std::array<float, 2> day_mean{}, day_variance{};
    std::array<uint16_t, 2> days{};
    uint32_t used_hours = 0;
    int32_t day = 0;
    uint64_t day_uses = 0;
    std::array<float, 24> block_peaks{};
    std::array<uint64_t, 2> last{};  // closed hours, the newest first
    Hour last_hour = 0;              // of the newest
  };
  State Save() const;
  void Restore(const State& state);

 private:
  void CloseDay();

  std::array<Slot, kSlots> slots_{};
  float noise_ = 1;  // squared error over what is expected: 1 for Poisson's
  float peak_ = 0, day_peak_ = 0;
  std::array<float, 2> day_mean_{}, day_variance_{};  // working days, weekends
  std::array<uint16_t, 2> days_{};
  uint32_t used_hours_ = 0;
  int32_t day_ = 0;  // since the epoch, of day_uses_
  uint64_t day_uses_ = 0;
  std::array<float, 24> block_peaks_{};
  std::array<uint64_t, 2> last_{};
  Hour last_hour_ = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_WEEK_MODEL_H_
