#include "agent/report/report_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/unit/agent/report/sample_uses.h"

namespace tokenwatch {
namespace {

class ReportQueueTest : public testing::Test {
 protected:
  FakeClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  ReportQueue queue_{{}, &clock_};
};

TEST_F(ReportQueueTest, GivesBackWhatWasAddedOnce) {
  queue_.Add(SampleUse(1), SampleWorkload());
  queue_.Add(SampleUse(2), nullptr);
  queue_.AddGap({.kind = "ring_full", .count = 3});
  EXPECT_EQ(queue_.waiting(), 2u);
  const QueuedReports taken = queue_.Take();
  ASSERT_EQ(taken.uses.size(), 2u);
  EXPECT_EQ(taken.uses[0].use.request_id, "request-1");
  EXPECT_NE(taken.uses[0].workload, nullptr);
  EXPECT_EQ(taken.uses[1].workload, nullptr);
  ASSERT_EQ(taken.gaps.size(), 1u);
  EXPECT_EQ(taken.gaps[0].count, 3u);
  EXPECT_EQ(taken.taken, clock_.Now());
  EXPECT_FALSE(taken.attached);
  EXPECT_TRUE(queue_.Take().uses.empty());
  EXPECT_EQ(queue_.waiting(), 0u);
  EXPECT_EQ(queue_.uses_added(), 2u);
  EXPECT_EQ(queue_.gaps_added(), 1u);
}

TEST_F(ReportQueueTest, WaitsUntilTheFirstUseIsOldEnough) {
  EXPECT_TRUE(queue_.Wait(absl::ZeroDuration()));
  queue_.Add(SampleUse(1), nullptr);
  clock_.Advance(absl::Milliseconds(100));
  EXPECT_TRUE(queue_.Wait(absl::InfiniteDuration()));  // would hang if it were not due
  EXPECT_EQ(queue_.Take().uses.size(), 1u);
}

TEST_F(ReportQueueTest, AMegabyteIsWorthAWriteAtOnce) {
  ReportQueue queue({.flush_bytes = 2000}, &clock_);
  for (int i = 0; i < 10; ++i) queue.Add(SampleUse(1), nullptr);
  EXPECT_TRUE(queue.Wait(absl::InfiniteDuration()));
}

TEST_F(ReportQueueTest, CloseWakesWhoeverWaits) {
  std::thread closer([&] { queue_.Close(); });
  EXPECT_FALSE(queue_.Wait(absl::InfiniteDuration()));
  closer.join();
}

TEST_F(ReportQueueTest, WhatFindsNoRoomIsCountedAsAGap) {
  ReportQueue queue({.max_bytes = 2000}, &clock_);
  uint64_t added = 0;
  while (queue.dropped().empty()) queue.Add(SampleUse(added++), nullptr);
  queue.SetDropKind("spool_full_dropped");
  TokenUse folded = SampleUse(added);
  folded.count = 10;
  queue.Add(folded, nullptr);
  EXPECT_EQ(queue.dropped(), (std::map<std::string, uint64_t>{{"report_queue_dropped", 1},
                                                              {"spool_full_dropped", 10}}));
  const QueuedReports taken = queue.Take();
  EXPECT_EQ(taken.uses.size(), added - 1);
  ASSERT_EQ(taken.gaps.size(), 2u);
  EXPECT_EQ(taken.gaps[0].kind, "report_queue_dropped");
  EXPECT_EQ(taken.gaps[0].count, 1u);
  EXPECT_EQ(taken.gaps[0].since, SampleUse(added - 1).time);
  EXPECT_EQ(taken.gaps[1].kind, "spool_full_dropped");
  EXPECT_EQ(taken.gaps[1].count, 10u);
  queue.Add(SampleUse(0), nullptr);
  EXPECT_EQ(queue.Take().uses.size(), 1u);
}

TEST_F(ReportQueueTest, GapsAlikeBecomeOne) {
  const absl::Time t = clock_.Now();
  queue_.AddGap({.kind = "k", .detail = "d", .count = 2, .since = t, .until = t, .pid = 7});
  queue_.AddGap({.kind = "k",
                 .detail = "d",
                 .count = 3,
                 .since = t - absl::Seconds(1),
                 .until = t + absl::Seconds(1),
                 .pid = 7});
  queue_.AddGap({.kind = "k", .detail = "d", .count = 1, .since = t, .until = t, .pid = 8});
  const QueuedReports taken = queue_.Take();
  ASSERT_EQ(taken.gaps.size(), 2u);
  EXPECT_EQ(taken.gaps[0].count, 5u);
  EXPECT_EQ(taken.gaps[0].since, t - absl::Seconds(1));
  EXPECT_EQ(taken.gaps[0].until, t + absl::Seconds(1));
  EXPECT_EQ(taken.gaps[1].pid, 8u);
}

TEST_F(ReportQueueTest, AFloodOfDifferentGapsIsFoldedAndKeepsItsCount) {
  for (uint32_t i = 0; i < 5000; ++i) {
    queue_.AddGap({.kind = "map_full", .detail = absl::StrCat(i), .pid = i, .comm = "c"});
  }
  uint64_t total = 0;
  const QueuedReports taken = queue_.Take();
  EXPECT_LE(taken.gaps.size(), 1001u);
  for (const Gap& gap : taken.gaps) total += gap.count;
  EXPECT_EQ(total, 5000u);
}

TEST_F(ReportQueueTest, AttachingComesWithItsGap) {
  const absl::Time t = clock_.Now();
  queue_.SetCoverage({.until = t});  // nobody watches yet
  EXPECT_EQ(queue_.Take().coverage.until, absl::InfinitePast());
  queue_.MarkAttached(t, {{.kind = "agent_down", .since = t, .until = t}});
  const QueuedReports taken = queue_.Take();
  EXPECT_TRUE(taken.attached);
  EXPECT_EQ(taken.gaps.size(), 1u);
  EXPECT_EQ(taken.coverage.until, t);
  EXPECT_TRUE(queue_.Take().attached);
}

TEST_F(ReportQueueTest, CoverageComesWithTheUsesThatItSpeaksOf) {
  const absl::Time t = clock_.Now();
  queue_.MarkAttached(t, {});
  const struct {
    Coverage coverage;
    absl::Time complete;
  } cases[] = {{{.until = t + absl::Seconds(1)}, t + absl::Seconds(1)},
               {{t + absl::Seconds(2), 1, t + absl::Seconds(1)}, t + absl::Seconds(1)},
               {{t + absl::Seconds(2), 1, t + absl::Seconds(3)}, t + absl::Seconds(2)},
               {{t + absl::Seconds(2), 0, t + absl::Seconds(1)}, t + absl::Seconds(2)}};
  for (const auto& test : cases) {
    clock_.Advance(absl::Hours(1));  // when it is taken says nothing
    queue_.SetCoverage(test.coverage);
    EXPECT_EQ(queue_.Take().coverage.until, test.coverage.until);
    EXPECT_EQ(queue_.Take().coverage.Complete(), test.complete);
  }
}

}  // namespace
}  // namespace tokenwatch
