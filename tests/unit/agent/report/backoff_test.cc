#include "agent/report/backoff.h"

#include <gtest/gtest.h>

namespace tokenwatch {
namespace {

TEST(Backoff, DoublesUpToItsBoundWithinTheUpperHalf) {
  Backoff backoff({absl::Milliseconds(100), absl::Seconds(1)}, 1);
  for (const int longest_ms : {100, 200, 400, 800, 1000, 1000, 1000}) {
    const absl::Duration delay = backoff.Next();
    EXPECT_GE(delay, absl::Milliseconds(longest_ms) / 2);
    EXPECT_LE(delay, absl::Milliseconds(longest_ms));
  }
  backoff.Reset();
  EXPECT_LE(backoff.Next(), absl::Milliseconds(100));
}

TEST(Backoff, NeverOverflows) {
  Backoff backoff({absl::Milliseconds(200), absl::Seconds(15)}, 2);
  for (int i = 0; i < 1000; ++i) {
    const absl::Duration delay = backoff.Next();
    EXPECT_GT(delay, absl::ZeroDuration());
    EXPECT_LE(delay, absl::Seconds(15));
  }
}

TEST(Backoff, DiffersFromAgentToAgent) {
  Backoff one({absl::Seconds(1), absl::Seconds(1)}, 1);
  Backoff other({absl::Seconds(1), absl::Seconds(1)}, 2);
  EXPECT_NE(one.Next(), other.Next());
}

}  // namespace
}  // namespace tokenwatch
