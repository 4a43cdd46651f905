#include "collector/detect/week_model.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace tokenwatch {
namespace {

constexpr float kFollow = 0.2F;
constexpr float kNoiseFollow = 0.02F;
constexpr float kOddGrowth = 1.1F;
constexpr double kSteadyDays = 0.5;
constexpr uint16_t kWeekendDays = 2, kWorkingDays = 7;
constexpr double kWorkingDay = 15;  // uses
const float kFadeHour = std::pow(0.5F, 1.0F / (14 * 24));
const float kFadeDay = std::pow(0.5F, 1.0F / 14);

void Grow(uint16_t* count) {
  if (*count < std::numeric_limits<uint16_t>::max()) ++*count;
}

// Early means are those of all days so far.
float Rate(uint16_t days) { return std::max(kFollow, 1.0F / static_cast<float>(days)); }

}  // namespace

// 1 January 1970 was a Thursday.
bool IsWeekend(Hour hour) {
  const int day = ((hour / 24) % 7 + 7) % 7;
  return day == 2 || day == 3;
}

int SlotOf(Hour hour) { return (IsWeekend(hour) ? 24 : 0) + ((hour % 24) + 24) % 24; }

void WeekModel::Close(Hour hour, uint64_t uses, bool odd) {
  const int32_t day = hour / 24;
  if (day != day_) {
    if (day_ != 0) CloseDay();
    day_ = day;
    day_uses_ = 0;
  }
  day_uses_ += uses;
  Slot& slot = slots_[SlotOf(hour)];
  const auto count = static_cast<float>(uses);
  Grow(&slot.days);
  if (slot.days > 2) {
    const float error = count - slot.mean;
    // One absurd hour must not make every later one normal.
    const float off = std::min(error * error / (slot.mean + 1), 25 * noise_ + 25);
    noise_ += kNoiseFollow * (off - noise_);
    noise_ = std::max(noise_, 1.0F);
  }
  const float learnt = odd ? std::min(count, slot.mean + 1) : count;
  slot.mean += Rate(slot.days) * (learnt - slot.mean);
  const auto raise = [odd](float* peak, float fade, float value) {
    *peak = std::max(*peak * fade, odd ? std::min(value, kOddGrowth * *peak + 0.5F) : value);
  };
  raise(&slot.peak, kFadeDay, count);
  raise(&peak_, kFadeHour, count);
  raise(&block_peaks_[static_cast<size_t>(((hour % 24) + 24) % 24)], kFadeDay,
        count + static_cast<float>(LastTwo(hour)));
  last_ = {uses, hour == last_hour_ + 1 ? last_[0] : 0};
  last_hour_ = hour;
  if (uses == 0) return;
  Grow(&slot.used);
  ++used_hours_;
}

void WeekModel::CloseDay() {
  const size_t kind = IsWeekend(day_ * 24) ? 1 : 0;
  const auto count = static_cast<float>(day_uses_);
  Grow(&days_[kind]);
  const float rate = Rate(days_[kind]);
  const float error = count - day_mean_[kind];
  day_mean_[kind] += rate * error;
  day_variance_[kind] = (1 - rate) * (day_variance_[kind] + rate * error * error);
  day_peak_ = std::max(day_peak_ * kFadeDay, count);
}

bool WeekModel::KeepsWeekends() const {
  double working = 0;
  for (int i = 0; i < 24; ++i) {
    const Slot& weekend = slots_[static_cast<size_t>(24 + i)];
    if (weekend.used != 0 || weekend.days < kWeekendDays) return false;
    working += slots_[static_cast<size_t>(i)].mean;
  }
  return working >= kWorkingDay && days_[0] >= kWorkingDays;
}

double WeekModel::ChanceOfUse(Hour hour) const {
  const Slot& slot = slots_[SlotOf(hour)];
  return slot.days == 0 ? 0 : static_cast<double>(slot.used) / slot.days;
}

double WeekModel::Deviation(Hour hour) const {
  return std::sqrt(noise_ * (slots_[SlotOf(hour)].mean + 1));
}

double WeekModel::DayDeviation(Hour hour) const {
  const size_t kind = IsWeekend(hour) ? 1 : 0;
  return std::sqrt(std::max(day_variance_[kind], day_mean_[kind] + 1));
}

double WeekModel::DayDispersion(Hour hour) const {
  const size_t kind = IsWeekend(hour) ? 1 : 0;
  return std::max(1.0, static_cast<double>(day_variance_[kind]) / (day_mean_[kind] + 1.0));
}

double WeekModel::PeakAround(Hour hour) const {
  const int slot = SlotOf(hour);
  const int base = slot / 24 * 24;
  double peak = 0;
  for (const int offset : {23, 0, 1}) {
    peak = std::max<double>(peak, slots_[base + (slot - base + offset) % 24].peak);
  }
  return peak;
}

double WeekModel::HourPeak(Hour hour) const {
  const int slot = SlotOf(hour);
  const int base = slot / 24 * 24;
  double peak = slots_[slot].peak;
  for (const int offset : {23, 1}) {
    peak = std::max<double>(peak, slots_[base + (slot - base + offset) % 24].mean);
  }
  return peak;
}

bool WeekModel::HasSteadyDays(Hour hour) const {
  return DayDeviation(hour) <= kSteadyDays * DayMean(hour);
}

uint64_t WeekModel::LastTwo(Hour hour) const {
  if (hour == last_hour_ + 1) return last_[0] + last_[1];
  return hour == last_hour_ + 2 ? last_[0] : 0;
}

double WeekModel::BlockPeakAround(Hour hour) const {
  double peak = 0;
  for (const int offset : {22, 23, 0, 1, 2}) {
    const int at = (((hour + offset) % 24) + 24) % 24;
    peak = std::max<double>(peak, block_peaks_[static_cast<size_t>(at)]);
  }
  return peak;
}

double WeekModel::PerUsedHour() const {
  double uses = 0, hours = 0;
  for (const Slot& slot : slots_) {
    uses += static_cast<double>(slot.mean) * slot.days;
    hours += slot.used;
  }
  return hours == 0 ? 0 : uses / hours;
}

double WeekModel::Regularity() const {
  double sum = 0;
  int great = 0;
  for (const Slot& slot : slots_) {
    if (slot.days < 2 || slot.peak < 0.5F * peak_) continue;
    sum += static_cast<double>(slot.mean) / std::max<double>(slot.peak, 1);
    ++great;
  }
  return great == 0 ? 0 : sum / great;
}

int WeekModel::UsedSlots(Hour hour) const {
  const int base = SlotOf(hour) / 24 * 24;
  return static_cast<int>(std::count_if(slots_.begin() + base, slots_.begin() + base + 24,
                                        [](const Slot& slot) { return slot.used != 0; }));
}

WeekModel::State WeekModel::Save() const {
  return {.slots = slots_,
          .noise = noise_,
          .peak = peak_,
          .day_peak = day_peak_,
          .day_mean = day_mean_,
          .day_variance = day_variance_,
          .days = days_,
          .used_hours = used_hours_,
          .day = day_,
          .day_uses = day_uses_,
          .block_peaks = block_peaks_,
          .last = last_,
          .last_hour = last_hour_};
}

void WeekModel::Restore(const State& state) {
  slots_ = state.slots;
  noise_ = state.noise;
  peak_ = state.peak;
  day_peak_ = state.day_peak;
  day_mean_ = state.day_mean;
  day_variance_ = state.day_variance;
  days_ = state.days;
  used_hours_ = state.used_hours;
  day_ = state.day;
  day_uses_ = state.day_uses;
  block_peaks_ = state.block_peaks;
  last_ = state.last;
  last_hour_ = state.last_hour;
}

}  // namespace tokenwatch
