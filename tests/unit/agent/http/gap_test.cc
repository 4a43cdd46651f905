#include "agent/http/gap.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "agent/http/reader_counters.h"

namespace tokenwatch {
namespace {

TEST(GapTest, EveryReasonHasItsOwnName) {
  std::set<std::string_view> names;
  for (int reason = TW_GAP_LOST_FRAMING; reason <= TW_GAP_UNSEEN_CALL; ++reason) {
    EXPECT_EQ(GapReasonOf(static_cast<uint8_t>(reason)).reason, reason);
    names.insert(GapName(static_cast<uint8_t>(reason)));
  }
  EXPECT_EQ(names.size(), TW_GAP_UNSEEN_CALL);
  EXPECT_EQ(std::size(kGapReasons), TW_GAP_UNSEEN_CALL + 1);
  EXPECT_EQ(GapName(TW_GAP_HTTP2), "http2_unseen");
  EXPECT_EQ(GapName(TW_GAP_PAST_API), "past_api_unseen");
  EXPECT_EQ(GapName(TW_GAP_UNREADABLE), "unreadable_unseen");
}

TEST(GapTest, UnknownReasonsAreLosses) {
  for (const int reason : {0, TW_GAP_UNSEEN_CALL + 1, 255}) {
    EXPECT_EQ(GapName(static_cast<uint8_t>(reason)), "unknown_gap_unseen");
    EXPECT_EQ(GapReasonOf(static_cast<uint8_t>(reason)).effect, GapEffect::kUnanswered);
  }
}

TEST(GapTest, CountersAreDistinctAndStartAtZero) {
  ReaderCounters counters;
  Counters totals;
  counters.AddTo(&totals);
  EXPECT_EQ(totals.size(), static_cast<size_t>(ReaderCount::kCount) + std::size(kGapReasons));
  for (const auto& [name, total] : totals) EXPECT_EQ(total, 0) << name;
}

TEST(GapTest, GapsAreCountedByName) {
  ReaderCounters counters;
  for (const GapReason& row : kGapReasons) counters.AddGap(row.reason);
  counters.AddGap(TW_GAP_HTTP2);
  counters.AddGap(200);
  Counters totals;
  counters.AddTo(&totals);
  for (const GapReason& row : kGapReasons) {
    const bool twice = row.reason == TW_GAP_HTTP2 || row.reason == 0;
    EXPECT_EQ(totals[std::string(row.name)], twice ? 2 : 1) << row.name;
  }
}

}  // namespace
}  // namespace tokenwatch
