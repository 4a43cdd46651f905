#include "collector/detect/hour_shape.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tokenwatch {
namespace {

constexpr double kTurn = 2 * std::numbers::pi / 24;
// Below it a middle means nothing.
constexpr double kLeastConcentration = 0.45;
constexpr uint32_t kLeastHours = 6;
constexpr uint32_t kMostHoursOfOne = 80;  // so that those used always do not speak for all
constexpr float kLeastPool = 150;
constexpr double kOftenPerDay = 4;
constexpr double kPoolWeight = 10;  // in hours of the token's own

}  // namespace

double HourShape::NewHourChance() const {
  const auto once = std::count(used.begin(), used.end(), 1U);
  return (static_cast<double>(once) + 0.5) / (hours + 1.0);
}

bool HourShape::HasHours() const {
  return hours >= kLeastHours && concentration >= kLeastConcentration;
}

bool IsPersonal(Habitat habitat, const HourShape& shape) {
  return habitat == Habitat::kSession && shape.per_day < kOftenPerDay;
}

int HourShape::Distance(Hour hour) const {
  const double away = std::abs(static_cast<double>(((hour % 24) + 24) % 24) + 0.5 - middle);
  return static_cast<int>(std::lround(std::min(away, 24 - away)));
}

int HourShape::Offset(Hour hour) const {
  const double after = static_cast<double>(((hour % 24) + 24) % 24) + 0.5 - middle;
  return static_cast<int>(std::lround(after) + 48) % kOffsets;
}

uint32_t HourShape::Near(Hour hour) const {
  const int at = ((hour % 24) + 24) % 24;
  return used[static_cast<size_t>((at + 23) % 24)] + used[static_cast<size_t>(at)] +
         used[static_cast<size_t>((at + 1) % 24)];
}

HourShape ShapeOf(const WeekModel& week, uint32_t active_days) {
  HourShape shape;
  double x = 0, y = 0;
  for (int hour = 0; hour < 24; ++hour) {
    const uint32_t used = week.Used(hour);
    shape.used[static_cast<size_t>(hour)] = used;
    shape.hours += used;
    x += used * std::cos((hour + 0.5) * kTurn);
    y += used * std::sin((hour + 0.5) * kTurn);
  }
  if (shape.hours == 0) return shape;
  shape.concentration = std::hypot(x, y) / shape.hours;
  shape.middle = std::atan2(y, x) / kTurn;
  if (shape.middle < 0) shape.middle += 24;
  shape.per_day = static_cast<double>(shape.hours) / std::max(1U, active_days);
  return shape;
}

size_t HourPool::KindOf(Habitat habitat, const HourShape& shape) {
  const size_t close = shape.concentration >= 0.85 ? 2 : shape.concentration >= 0.7 ? 1 : 0;
  const size_t often = shape.per_day >= kOftenPerDay ? 1 : 0;
  return (static_cast<size_t>(habitat) * 3 + close) * 2 + often;
}

void HourPool::Add(Habitat habitat, const HourShape& shape, Hour hour) {
  if (!shape.HasHours() || shape.hours > kMostHoursOfOne) return;
  counts_[KindOf(habitat, shape) * kOffsets + static_cast<size_t>(shape.Offset(hour))] += 1;
}

double HourPool::Chance(Habitat habitat, const HourShape& shape, Hour hour) const {
  if (!shape.HasHours()) return 1;
  const float* const counts = counts_.data() + KindOf(habitat, shape) * kOffsets;
  std::array<double, kOffsets> smooth{};
  double all = 0;
  for (size_t i = 0; i < kOffsets; ++i) {
    smooth[i] =
        (static_cast<double>(counts[(i + kOffsets - 1) % kOffsets]) +
         2 * static_cast<double>(counts[i]) + static_cast<double>(counts[(i + 1) % kOffsets])) /
        4;
    all += static_cast<double>(counts[i]);
  }
  if (all < kLeastPool) return 1;
  const double here = smooth[static_cast<size_t>(shape.Offset(hour))];
  double as_rare = 0.5;
  for (const double count : smooth) as_rare += count <= here ? count : 0;
  return (shape.Near(hour) + kPoolWeight * as_rare / (all + 1)) / (shape.hours + kPoolWeight);
}

}  // namespace tokenwatch
