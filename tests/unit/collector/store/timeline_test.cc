// A token's uses over its life.
#include <gtest/gtest.h>

#include <map>

#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch::testing {
namespace {

struct Sums {
  uint64_t uses = 0, denied = 0;
};

// Holds that buckets follow each other, and returns their sums.
Sums CheckTimeline(const v1::TokenDetail& detail, uint64_t seconds) {
  Sums sums;
  EXPECT_LE(detail.timeline_size(), 200);
  for (int i = 0; i < detail.timeline_size(); ++i) {
    const v1::TimelineBucket& bucket = detail.timeline(i);
    EXPECT_EQ(bucket.seconds(), seconds);
    EXPECT_EQ(bucket.start().seconds() % static_cast<int64_t>(seconds), 0);
    if (i > 0) {
      EXPECT_EQ(bucket.start().seconds() - detail.timeline(i - 1).start().seconds(),
                static_cast<int64_t>(seconds));
    }
    sums.uses += bucket.uses();
    sums.denied += bucket.denied();
  }
  return sums;
}

TEST(Timeline, IsAsFineAsItsLifeAllows) {
  const struct {
    int64_t life;
    uint64_t seconds;
  } rows[] = {{kMinute, 3600},      {3 * kDay, 3600},       {8 * kDay, 3600},
              {9 * kDay, 2 * 3600}, {90 * kDay, 12 * 3600}, {365 * kDay, 48 * 3600}};
  for (const auto& row : rows) {
    StoreFixture fixture;
    const int64_t first = kNow - row.life;
    // Times far from the store's own are replaced.
    fixture.SetNow(first);
    fixture.Add({Use(PlainContext(), Token(1), first)});
    fixture.SetNow(kNow);
    fixture.Add({Use(PlainContext(), Token(1), kNow, 403), Use(PlainContext(), Token(1), kNow),
                 Use(PlainContext(), Token(2), kNow)});
    const v1::TokenDetail detail = fixture.Detail(TokenText(1));
    const Sums sums = CheckTimeline(detail, row.seconds);
    EXPECT_EQ(sums.uses, 3U) << row.life;
    EXPECT_EQ(sums.denied, 1U);
    ASSERT_GT(detail.timeline_size(), 0);
    EXPECT_LE(Micros(detail.timeline(0).start()), first);
    EXPECT_GT(Micros(detail.timeline(0).start()) + static_cast<int64_t>(row.seconds) * kSecond,
              first);
    EXPECT_EQ(detail.timeline(detail.timeline_size() - 1).denied(), 1U);
  }
}

TEST(Timeline, HoldsWhatOtherSumsHold) {
  StoreFixture fixture;
  const auto both = Token({{"key_00000001", 1}, {"key_00000002", 101}});
  std::vector<UseRow> uses;
  for (int i = 0; i < 500; ++i) {
    uses.push_back(Use(PlainContext(), i % 3 == 0 ? Token(1) : both, kNow - i * 7 * kMinute,
                       i % 5 == 0 ? 401 : 200));
  }
  uses.push_back(
      Use(Context([](UseContext& context) { context.direction = "inbound"; }), both, kNow - kHour));
  fixture.Add(std::move(uses));
  const v1::TokenDetail detail = fixture.Detail(TokenText(101));
  const Sums sums = CheckTimeline(detail, 3600);
  EXPECT_EQ(sums.uses, detail.token().uses());
  EXPECT_EQ(sums.denied, detail.token().denied());
  EXPECT_EQ(detail.token().inbound_uses(), 1U);
}

TEST(Timeline, LeavesTheOldestOutWhereThereIsTooMuch) {
  StoreFixture fixture;
  fixture.SetNow(kNow - 2000 * kDay);
  fixture.Add({Use(PlainContext(), Token(1), kNow - 2000 * kDay)});
  fixture.SetNow(kNow);
  fixture.Add({Use(PlainContext(), Token(1), kNow)});
  const Sums sums = CheckTimeline(fixture.Detail(TokenText(1)), 168 * 3600);
  EXPECT_EQ(sums.uses, 1U);
}

TEST(Timeline, IsEmptyWithoutAUse) {
  StoreFixture fixture;
  fixture.Add(
      {Use(Context([](UseContext& context) { context.direction = "inbound"; }), Token(1), kNow)});
  EXPECT_EQ(fixture.Detail(TokenText(1)).timeline_size(), 0);
}

}  // namespace
}  // namespace tokenwatch::testing
