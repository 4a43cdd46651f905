// Partitions: bounded however wild an agent's clock is, and dropped whole.
#include <gtest/gtest.h>

#include <limits>

#include "collector/store/sqlite/database.h"
#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch::testing {
namespace {

int64_t Count(const StoreFixture& fixture, const std::string& query) {
  const auto database =
      sqlite::Database::Open(fixture.path() + "/tokenwatch.db", sqlite::Database::Mode::kReadOnly)
          .value();
  sqlite::Statement statement = database->Prepare(query);
  statement.Start();
  EXPECT_TRUE(statement.Next()) << database->TakeStatus();
  return statement.Int(0);
}

int64_t Partitions(const StoreFixture& fixture) {
  return Count(fixture,
               "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'uses\\_2%' ESCAPE '\\'");
}

TEST(Times, ThatCannotBeAreReplacedAndCounted) {
  StoreFixture fixture;
  const auto context = PlainContext();
  const int64_t impossible[] = {0,
                                -1,
                                1,
                                std::numeric_limits<int64_t>::min(),
                                std::numeric_limits<int64_t>::max(),
                                kNow - 101 * kDay,
                                kNow + 2 * kDay,
                                kNow * 1000};
  std::vector<UseRow> uses;
  for (const int64_t time : impossible) uses.push_back(Use(context, Token(1), time));
  for (const int64_t time : {kNow - 99 * kDay, kNow + 23 * kHour}) {
    uses.push_back(Use(context, Token(1), time));
  }
  fixture.Add(uses);
  const std::vector<v1::Use> listed = fixture.Uses();
  ASSERT_EQ(listed.size(), 10);
  EXPECT_EQ(Micros(listed[0].time()), kNow + 23 * kHour);
  for (size_t i = 1; i < 9; ++i) EXPECT_EQ(Micros(listed[i].time()), kNow);
  EXPECT_EQ(Micros(listed[9].time()), kNow - 99 * kDay);
  EXPECT_EQ(fixture.Agents()[0].counters().at("store_times_replaced"), 8);
  EXPECT_EQ(fixture.Stats().uses(), 10);
}

TEST(Times, OfAWildClockMakeFewPartitions) {
  StoreFixture fixture;
  const auto context = PlainContext();
  std::vector<UseRow> uses;
  for (int64_t day = 0; day < 40000; day += 7) {
    uses.push_back(Use(context, Token(1), day * kDay + kHour));
  }
  fixture.Add(uses);
  EXPECT_LE(Partitions(fixture), 101 / 7 + 2);
  EXPECT_EQ(fixture.Stats().uses(), uses.size());
}

TEST(Retention, KeepsAllByDefault) {
  StoreFixture fixture;
  fixture.Add({Use(PlainContext(), Token(1), kNow - 90 * kDay)});
  fixture.SetNow(kNow + 1000 * kDay);
  fixture.Add({});
  fixture.Reopen();
  fixture.Add({});
  EXPECT_EQ(fixture.Uses().size(), 1);
}

TEST(Retention, DropsWholeDaysAndKeepsTheSums) {
  StoreFixture fixture(/*retention_days=*/3);
  const auto old = Context([](UseContext& made) {
    made.workload.set_pid(1);
    made.user_agent = "old/1.0";
  });
  const auto recent = PlainContext();
  // The retention ends inside the 19th: that day stays, the days before it go.
  const int64_t end = kNow - 3 * kDay;
  const int64_t end_day = end - end % kDay;
  GapRow gap;
  gap.kind = "ring_full";
  gap.count = 9;
  gap.since_us = gap.until_us = kNow - 4 * kDay;
  fixture.Add({Use(old, Token(1), end_day - kDay), Use(old, Token(2), end_day - 1, 403)}, {gap});
  fixture.Add({Use(recent, Token(1), end_day), Use(recent, Token(3), kNow)});
  // The first commit dropped nothing, for nothing was there; its old uses went into the sums alone.
  EXPECT_EQ(fixture.Uses().size(), 2);

  fixture.SetNow(kNow + kDay);
  fixture.Add({});
  EXPECT_EQ(Partitions(fixture), 1);
  const std::vector<v1::Use> uses = fixture.Uses();
  ASSERT_EQ(uses.size(), 1);
  EXPECT_EQ(Micros(uses[0].time()), kNow);
  EXPECT_EQ(fixture.Stats().uses(), 4);
  EXPECT_EQ(fixture.Stats().denied(), 1);
  EXPECT_EQ(fixture.Detail(TokenText(2)).token().denied(), 1);
  EXPECT_EQ(fixture.Tokens().size(), 3);
  EXPECT_EQ(fixture.Stats().gaps(), 9) << "totals stay";
  EXPECT_TRUE(fixture.Agents()[0].gaps().empty());
  EXPECT_EQ(Count(fixture, "SELECT count(*) FROM zones"), 1);

  // A window that cuts an hour of a dropped day counts the hour as a whole.
  v1::ListRequest window = Filtered(
      "since",
      absl::FormatTime(absl::FromUnixMicros(end_day - kDay + kMinute), absl::UTCTimeZone()));
  EXPECT_EQ(fixture.Stats(window).uses(), 4);

  // What comes late for a dropped day is summed, and makes no partition.
  fixture.Add({Use(old, Token(1), end_day + kHour)});
  EXPECT_EQ(Partitions(fixture), 1);
  EXPECT_EQ(fixture.Stats().uses(), 5);
  fixture.Reopen();
  fixture.Add({Use(old, Token(1), end_day + kHour)});
  EXPECT_EQ(Partitions(fixture), 1);
  EXPECT_EQ(fixture.Stats().uses(), 6);
}

// Ten years ahead and back, and over a restart in between.
TEST(Retention, IsNotDeceivedByAClockThatIsSet) {
  const auto context = PlainContext();
  for (const int64_t step : {3650 * kDay, -3650 * kDay}) {
    StoreFixture fixture(/*retention_days=*/90);
    fixture.Add({Use(context, Token(1), kNow - 80 * kDay), Use(context, Token(1), kNow)});
    fixture.StepTo(kNow + step);
    fixture.Add({Use(context, Token(1), kNow + kMinute)});
    EXPECT_EQ(fixture.Uses().size(), 3);
    fixture.Reopen();
    fixture.StepTo(kNow + step + 2 * kHour);
    // An agent on the same machine, and one that is right.
    fixture.Add({Use(context, Token(1), kNow + step + 2 * kHour),
                 Use(context, Token(1), kNow + 2 * kMinute)});
    fixture.StepTo(kNow + kHour);
    fixture.Add({Use(context, Token(1), kNow + kHour)});
    EXPECT_EQ(fixture.Uses().size(), step > 0 ? 6 : 5);
    EXPECT_EQ(fixture.Stats().uses(), 6);
    EXPECT_FALSE(fixture.Agents()[0].counters().contains("store_times_replaced"));
    EXPECT_LE(Micros(fixture.Agents()[0].last_seen()), kNow + kDay);
  }
}

TEST(Retention, BelievesAgentsWhereOurClockIsSetTwice) {
  const auto context = PlainContext();
  StoreFixture fixture(/*retention_days=*/90);
  fixture.Add({Use(context, Token(1), kNow)});
  fixture.StepTo(kNow - 23 * kHour);
  fixture.Add({Use(context, Token(1), kNow)});
  fixture.StepTo(kNow + 3650 * kDay);
  fixture.Add({Use(context, Token(1), kNow + 2 * kHour)});
  EXPECT_EQ(Micros(fixture.Uses()[0].time()), kNow + 2 * kHour);
  EXPECT_FALSE(fixture.Agents()[0].counters().contains("store_times_replaced"));
}

TEST(Retention, TellsAStreamWhatItMissed) {
  StoreFixture fixture(/*retention_days=*/2);
  const auto context = PlainContext();
  fixture.Add({Use(context, Token(1), kNow), Use(context, Token(1), kNow)});
  std::string cursor = "1";
  EXPECT_EQ(fixture.store().UsesAfter({}, &cursor, 1).value().size(), 1);
  EXPECT_EQ(fixture.store().DroppedBetween("1", cursor).value(), 0);
  fixture.SetNow(kNow + 2 * kDay);
  fixture.Add({Use(context, Token(1), kNow + kDay), Use(context, Token(1), kNow),
               Use(context, Token(1), kNow + 2 * kDay)});
  fixture.SetNow(kNow + 3 * kDay);
  fixture.Add({Use(context, Token(1), kNow + 3 * kDay)});
  // Numbers 1 to 3 are gone, and 4 to 6 are left.
  for (const auto& [from, dropped] : {std::pair{"0", 3}, {"1", 2}, {"2", 1}, {"3", 0}, {"4", 0}}) {
    cursor = from;
    EXPECT_EQ(fixture.store().UsesAfter({}, &cursor, 100).value().size(), 3 - (from[0] == '4'));
    EXPECT_EQ(cursor, "6");
    EXPECT_EQ(fixture.store().DroppedBetween(from, cursor).value(), dropped) << from;
  }
}

TEST(Retention, ForgetsProcessesThatNoUseNames) {
  StoreFixture fixture(/*retention_days=*/1);
  const auto process = [](uint32_t pid) {
    return Context([pid](UseContext& made) { made.workload.set_pid(pid); });
  };
  // One lives on, the others are of the first day.
  const auto survivor = process(1);
  std::vector<UseRow> uses = {Use(survivor, Token(1), kNow)};
  for (uint32_t pid = 2; pid <= 50; ++pid) uses.push_back(Use(process(pid), Token(1), kNow));
  fixture.Add(uses);
  EXPECT_EQ(Count(fixture, "SELECT count(*) FROM workloads"), 50);
  fixture.SetNow(kNow + kDay);
  fixture.Add({Use(survivor, Token(1), kNow + kDay)});
  fixture.SetNow(kNow + 2 * kDay);
  const auto newcomer = process(99);
  fixture.Add({Use(newcomer, Token(1), kNow + 2 * kDay)});
  // The survivor, the newcomer, and the newest of the old, whose number must not be given again.
  EXPECT_EQ(Count(fixture, "SELECT count(*) FROM workloads"), 3);
  const std::vector<v1::Use> left = fixture.Uses();
  ASSERT_EQ(left.size(), 2);
  EXPECT_EQ(left[0].workload().pid(), 99);
  EXPECT_EQ(left[1].workload().pid(), 1);
  // A forgotten process that comes back is known anew.
  fixture.Add({Use(process(7), Token(1), kNow + 2 * kDay + 1)});
  EXPECT_EQ(fixture.Uses()[0].workload().pid(), 7);
  EXPECT_EQ(fixture.Stats().workloads(), 1);
}

TEST(Retention, NeverGoesBackInNumbers) {
  // The newest numbers may lie in the oldest day; a cursor must not meet them again.
  StoreFixture fixture(/*retention_days=*/2);
  const auto context = PlainContext();
  std::string cursor;
  ASSERT_TRUE(fixture.store().UsesAfter({}, &cursor, 10).ok());
  fixture.Add({Use(context, Token(1), kNow)});
  fixture.Add({Use(context, Token(1), kNow - 2 * kDay), Use(context, Token(1), kNow - 2 * kDay)});
  EXPECT_EQ(fixture.store().UsesAfter({}, &cursor, 10).value().size(), 3);
  fixture.SetNow(kNow + kDay);
  fixture.Add({});
  EXPECT_EQ(fixture.Uses().size(), 1);
  fixture.Reopen();
  fixture.Add({Use(context, Token(1), kNow + kDay)});
  EXPECT_EQ(fixture.store().UsesAfter({}, &cursor, 10).value().size(), 1);
}

}  // namespace
}  // namespace tokenwatch::testing
