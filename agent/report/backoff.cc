#include "agent/report/backoff.h"

#include <algorithm>

namespace tokenwatch {

absl::Duration Backoff::Next() {
  constexpr int kMaxDoublings = 30;
  absl::Duration longest = options_.initial * (int64_t{1} << std::min(attempts_, kMaxDoublings));
  longest = std::min(longest, options_.max);
  if (attempts_ < kMaxDoublings) ++attempts_;
  return longest * std::uniform_real_distribution<double>(0.5, 1.0)(random_);
}

}  // namespace tokenwatch
