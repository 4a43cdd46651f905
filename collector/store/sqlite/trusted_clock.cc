#include "collector/store/sqlite/trusted_clock.h"

namespace tokenwatch::sqlite {
namespace {

bool IsStep(int64_t difference_us) {
  return difference_us > TrustedClock::kStepMicros || difference_us < -TrustedClock::kStepMicros;
}

}  // namespace

int64_t TrustedClock::Read(int64_t wall_us, int64_t monotonic_us) {
  const int64_t passed_us = monotonic_us - read_at_us_.value_or(monotonic_us);
  read_at_us_ = monotonic_us;
  if (!trusted_us_.has_value()) {
    trusted_us_ = wall_us;
    return wall_us;
  }
  const int64_t expected_us = *trusted_us_ + passed_us;
  const int64_t step_us = wall_us - expected_us;
  if (!IsStep(step_us)) {
    trusted_us_ = wall_us;
    step_us_ = 0;
    return wall_us;
  }
  // The first that is seen of it, or another one on top.
  if (step_us_ == 0 || IsStep(step_us - step_us_)) stepped_at_us_ = monotonic_us;
  step_us_ = step_us;
  trusted_us_ = expected_us;
  if (monotonic_us - stepped_at_us_ >= kHoldMicros) {
    trusted_us_ = wall_us;
    step_us_ = 0;
  }
  return *trusted_us_;
}

}  // namespace tokenwatch::sqlite
