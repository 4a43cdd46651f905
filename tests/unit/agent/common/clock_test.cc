#include "agent/common/clock.h"

#include <gtest/gtest.h>
#include <time.h>

namespace tokenwatch {
namespace {

uint64_t ReadNs(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

TEST(RealClock, ConvertsBothKernelClocksToWallTime) {
  const RealClock clock;
  const absl::Duration tolerance = absl::Seconds(1);
  EXPECT_LT(absl::AbsDuration(clock.FromMonotonic(clock.MonotonicNs()) - clock.Now()), tolerance);
  EXPECT_LT(absl::AbsDuration(clock.FromBoot(ReadNs(CLOCK_BOOTTIME)) - clock.Now()), tolerance);
}

TEST(RealClock, GivesOneTimeForOneReading) {
  const RealClock clock;
  const uint64_t boot = ReadNs(CLOCK_BOOTTIME);
  const absl::Time first = clock.FromBoot(boot);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(clock.FromBoot(boot), first);
}

TEST(RealClock, KeepsTheOrderOfReadings) {
  const RealClock clock;
  absl::Time last = absl::InfinitePast();
  for (int i = 0; i < 1000; ++i) {
    const absl::Time now = clock.FromMonotonic(clock.MonotonicNs());
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(FakeClock, StepsTheWallApartFromItsOwnCourse) {
  FakeClock clock(absl::FromUnixSeconds(1'000'000));
  clock.Advance(absl::Seconds(5));
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(1'000'005));
  EXPECT_EQ(clock.MonotonicNs(), 5'000'000'000u);
  clock.StepWall(absl::Seconds(60));
  EXPECT_EQ(clock.FromMonotonic(5'000'000'000), absl::FromUnixSeconds(1'000'065));
  EXPECT_EQ(clock.MonotonicNs(), 5'000'000'000u);
}

}  // namespace
}  // namespace tokenwatch
