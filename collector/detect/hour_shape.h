// The hours of the day that a token is used in, as a circle: where their middle lies, how close to
// it they keep, and how far from it tokens of the same kind ever are.
#ifndef TOKENWATCH_COLLECTOR_DETECT_HOUR_SHAPE_H_
#define TOKENWATCH_COLLECTOR_DETECT_HOUR_SHAPE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "collector/detect/week_model.h"

namespace tokenwatch {

inline constexpr int kOffsets = 24;

struct HourShape {
  double middle = 0;         // hour of the day, UTC
  double concentration = 0;  // 0: spread evenly over the day; 1: always the same hour
  uint32_t hours = 0;        // with uses, that it rests on
  double per_day = 0;        // of them, on a day with uses
  std::array<uint32_t, 24> used{};

  // The chance that it is next used at an hour of the day at which it never was, by how many hours
  // it was used at once only (Good and Turing).
  double NewHourChance() const;
  // Whether it keeps hours at all.
  bool HasHours() const;
  int Distance(Hour hour) const;  // from the middle, 0 to 12 hours
  // Hours after the middle, 0 to 23: late evenings are another thing than early mornings.
  int Offset(Hour hour) const;
  // Of its own hours, those that lie within an hour of this one.
  uint32_t Near(Hour hour) const;
};
HourShape ShapeOf(const WeekModel& week, uint32_t active_days);

// Where a program runs: containers, units and people's sessions keep different hours.
enum class Habitat : uint8_t { kContainer, kUnit, kSession };

// Whether a person uses it by hand: in a session, now and then.
bool IsPersonal(Habitat habitat, const HourShape& shape);

// The distances of all tokens, by what tokens of one kind share: habitat, how close they keep to
// their hours, and how many a day they have. A person's token is rarely used; what is known of
// people tells what its few hours cannot.
class HourPool {
 public:
  static constexpr size_t kKinds = 18;

  void Add(Habitat habitat, const HourShape& shape, Hour hour);
  // The chance of a use at an hour as rare as this one, by the token's own hours and its kind's. 1
  // where too little is known.
  double Chance(Habitat habitat, const HourShape& shape, Hour hour) const;

  absl::Span<const float> counts() const { return counts_; }
  void Restore(size_t at, float count) { counts_[at] = count; }
  static constexpr size_t kCounts = kKinds * kOffsets;

 private:
  static size_t KindOf(Habitat habitat, const HourShape& shape);
  std::array<float, kCounts> counts_{};
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_HOUR_SHAPE_H_
