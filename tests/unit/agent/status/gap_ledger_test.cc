#include "agent/gap_ledger.h"

#include <gtest/gtest.h>

#include <vector>

namespace tokenwatch {
namespace {

class GapLedgerTest : public testing::Test {
 protected:
  std::vector<Gap> gaps_;
  GapLedger ledger_{[this](const Gap& gap) { gaps_.push_back(gap); }};
  const absl::Time start_ = absl::FromUnixSeconds(1000);
};

TEST_F(GapLedgerTest, EqualLossesOfAnIntervalAreOneGap) {
  Workload workload;
  workload.comm = "curl";
  workload.exe = "/usr/bin/curl";
  ledger_.Add("http2_unseen", 7, &workload, start_);
  ledger_.Add("http2_unseen", 7, &workload, start_ + absl::Milliseconds(300));
  ledger_.Add("http2_unseen", 8, nullptr, start_);
  ledger_.Flush({{"http2_unseen", 3}}, start_ + absl::Seconds(1));
  ASSERT_EQ(gaps_.size(), 2u);
  EXPECT_EQ(gaps_[0].count, 2u);
  EXPECT_EQ(gaps_[0].pid, 7u);
  EXPECT_EQ(gaps_[0].exe, "/usr/bin/curl");
  EXPECT_EQ(gaps_[0].until - gaps_[0].since, absl::Milliseconds(300));
  EXPECT_EQ(gaps_[1].pid, 8u);
}

TEST_F(GapLedgerTest, CountersTellWhatNobodySaw) {
  ledger_.Flush({{"ring_full_lost", 0}, {"segments", 5}}, start_);
  EXPECT_TRUE(gaps_.empty());
  ledger_.Flush({{"ring_full_lost", 4}, {"segments", 9}}, start_ + absl::Seconds(1));
  ASSERT_EQ(gaps_.size(), 1u);
  EXPECT_EQ(gaps_[0].kind, "ring_full_lost");
  EXPECT_EQ(gaps_[0].count, 4u);
  EXPECT_EQ(gaps_[0].since, start_);
  ledger_.Flush({{"ring_full_lost", 4}}, start_ + absl::Seconds(2));
  EXPECT_EQ(gaps_.size(), 1u);
}

TEST_F(GapLedgerTest, NoLossIsToldTwice) {
  for (int i = 1; i <= 3; ++i) {
    ledger_.Add("lost_framing_unseen", 1, nullptr, start_);
    ledger_.Flush({{"lost_framing_unseen", i}}, start_ + absl::Seconds(i));
  }
  uint64_t sum = 0;
  for (const Gap& gap : gaps_) sum += gap.count;
  EXPECT_EQ(sum, 3u);
  ledger_.Flush({{"lost_framing_unseen", 5}}, start_ + absl::Seconds(4));
  EXPECT_EQ(gaps_.back().count, 2u);
}

TEST_F(GapLedgerTest, BeyondTheBoundOnlyTheProcessIsLost) {
  const uint64_t losses = GapLedger::kMaxRows + 10;
  for (uint32_t pid = 1; pid <= losses; ++pid) ledger_.Add("http2_unseen", pid, nullptr, start_);
  ledger_.Flush({{"http2_unseen", losses}}, start_);
  uint64_t sum = 0;
  for (const Gap& gap : gaps_) sum += gap.count;
  EXPECT_EQ(sum, losses);
}

}  // namespace
}  // namespace tokenwatch
