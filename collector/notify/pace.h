// How often what failed is tried again.
#ifndef TOKENWATCH_COLLECTOR_NOTIFY_PACE_H_
#define TOKENWATCH_COLLECTOR_NOTIFY_PACE_H_

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"

namespace tokenwatch {

struct NotifyPace {
  // After a receiver's trouble it is left alone, first for this and at most for that.
  absl::Duration pause = absl::Seconds(1);
  absl::Duration longest_pause = absl::Minutes(1);
  // The same where it wants no message, or not this one: somebody has to put that right.
  absl::Duration refused = absl::Seconds(30);
  absl::Duration longest = absl::Minutes(15);    // also of what a receiver asks for
  absl::Duration give_up = absl::Hours(7 * 24);  // after the message was queued
};

// The `n`th wait, from 1: `first`, doubled each time, at most `most`; of that between a half and
// all, by `random` of 0 to 1, so that messages that failed together do not come again together.
inline absl::Duration BackOff(absl::Duration first, absl::Duration most, uint64_t n,
                              double random) {
  const uint64_t doublings = std::min<uint64_t>(n == 0 ? 0 : n - 1, 30);
  const absl::Duration whole =
      std::min(most, first * static_cast<double>(uint64_t{1} << doublings));
  return whole * (0.5 + std::clamp(random, 0.0, 1.0) / 2);
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_NOTIFY_PACE_H_
