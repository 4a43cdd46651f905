#include "collector/store/sqlite/trusted_clock.h"

#include <gtest/gtest.h>

namespace tokenwatch::sqlite {
namespace {

constexpr int64_t kHour = 3600 * int64_t{1'000'000};
constexpr int64_t kDay = 24 * kHour;
constexpr int64_t kYear = 365 * kDay;
constexpr int64_t kNow = 1795343400000000;

TEST(TrustedClock, FollowsAClockThatRuns) {
  TrustedClock clock;
  for (int64_t hour = 0; hour < 100; ++hour) {
    EXPECT_EQ(clock.Read(kNow + hour * kHour, hour * kHour), kNow + hour * kHour);
  }
  EXPECT_EQ(clock.Read(kNow + 99 * kHour - kDay, 100 * kHour), kNow + 99 * kHour - kDay)
      << "small steps are believed";
  EXPECT_EQ(clock.StepMicros(), 0);
}

TEST(TrustedClock, DoesNotBelieveAStepForADay) {
  for (const int64_t step : {10 * kYear, -10 * kYear, 3 * kDay}) {
    TrustedClock clock;
    clock.Read(kNow, 0);
    for (int64_t hour = 1; hour < 25; ++hour) {
      EXPECT_EQ(clock.Read(kNow + step + hour * kHour, hour * kHour), kNow + hour * kHour);
      EXPECT_EQ(clock.StepMicros(), step);
    }
    EXPECT_EQ(clock.Read(kNow + step + 25 * kHour, 25 * kHour), kNow + step + 25 * kHour);
    EXPECT_EQ(clock.StepMicros(), 0);
  }
}

TEST(TrustedClock, IsNotMovedByAStepThatIsUndone) {
  TrustedClock clock;
  clock.Read(kNow, 0);
  clock.Read(kNow + 10 * kYear, kHour);
  EXPECT_EQ(clock.Read(kNow + 2 * kHour, 2 * kHour), kNow + 2 * kHour);
  EXPECT_EQ(clock.StepMicros(), 0);
  // The day begins anew with the next one.
  clock.Read(kNow + 10 * kYear, 20 * kHour);
  EXPECT_EQ(clock.Read(kNow + 10 * kYear, 30 * kHour), kNow + 30 * kHour);
  // And with one on top of it.
  clock.Read(kNow - 10 * kYear, 31 * kHour);
  EXPECT_EQ(clock.Read(kNow - 10 * kYear, 50 * kHour), kNow + 50 * kHour);
}

TEST(TrustedClock, RemembersOverARestart) {
  TrustedClock clock;
  clock.Resume(kNow);
  EXPECT_EQ(clock.Read(kNow + 10 * kYear, 7 * kYear), kNow);
  EXPECT_EQ(clock.Read(kNow + 10 * kYear + kHour, 7 * kYear + kHour), kNow + kHour);
  TrustedClock next;
  next.Resume(kNow);
  EXPECT_EQ(next.Read(kNow + kDay, 0), kNow + kDay) << "an ordinary stop";
}

}  // namespace
}  // namespace tokenwatch::sqlite
