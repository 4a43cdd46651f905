#include "agent/common/clock.h"

#include <time.h>

#include <limits>

#include "absl/time/clock.h"

namespace tokenwatch {
namespace {

// What preemption between two readings may falsify an offset by, even at the best of the tries.
constexpr int64_t kMeasuringErrorNs = 1'000'000;
constexpr int kTries = 5;
constexpr int64_t kGoodBracketNs = 2'000;

int64_t Read(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);  // cannot fail for the clocks used here
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

int64_t MeasureOffset(clockid_t clock) {
  int64_t best_bracket = std::numeric_limits<int64_t>::max();
  int64_t offset = 0;
  for (int i = 0; i < kTries && best_bracket > kGoodBracketNs; ++i) {
    const int64_t before = Read(clock);
    const int64_t wall = Read(CLOCK_REALTIME);
    const int64_t bracket = Read(clock) - before;
    if (bracket < best_bracket) {
      best_bracket = bracket;
      offset = wall - (before + bracket / 2);
    }
  }
  return offset;
}

}  // namespace

absl::Time RealClock::Now() const { return absl::Now(); }

uint64_t RealClock::MonotonicNs() const { return static_cast<uint64_t>(Read(CLOCK_MONOTONIC)); }

absl::Time RealClock::FromMonotonic(uint64_t mono_ns) const {
  return Convert(CLOCK_MONOTONIC, &monotonic_, mono_ns);
}

absl::Time RealClock::FromBoot(uint64_t boot_ns) const {
  return Convert(CLOCK_BOOTTIME, &boot_, boot_ns);
}

absl::Time RealClock::Convert(int clock, Offset* offset, uint64_t ns) const {
  const int64_t measured = MeasureOffset(clock);
  const std::lock_guard lock(mutex_);
  const int64_t change = measured - offset->ns;
  if (!offset->known || change > kMeasuringErrorNs || change < -kMeasuringErrorNs) {
    *offset = {true, measured};
  }
  return absl::FromUnixNanos(offset->ns) + absl::Nanoseconds(static_cast<int64_t>(ns));
}

}  // namespace tokenwatch
