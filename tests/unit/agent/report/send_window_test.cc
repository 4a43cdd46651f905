#include "agent/report/send_window.h"

#include <gtest/gtest.h>

#include <string>

namespace tokenwatch {
namespace {

SentBatch Batch(const std::string& stream, uint64_t last_sequence, size_t bytes = 10) {
  return {.stream_id = stream, .last_sequence = last_sequence, .bytes = bytes};
}

TEST(SendWindow, ClosesAtItsBoundsAndOpensAsBatchesAreDone) {
  SendWindow by_number(2, 1000);
  by_number.Push(Batch("a", 1));
  EXPECT_TRUE(by_number.Open());
  by_number.Push(Batch("a", 2));
  EXPECT_FALSE(by_number.Open());
  by_number.Acknowledge("a", 1);
  EXPECT_EQ(by_number.TakeDone().size(), 1u);
  EXPECT_TRUE(by_number.Open());

  SendWindow by_bytes(100, 15);
  by_bytes.Push(Batch("a", 1, 10));
  EXPECT_TRUE(by_bytes.Open());
  by_bytes.Push(Batch("a", 2, 10));
  EXPECT_FALSE(by_bytes.Open());

  SendWindow huge(100, 15);
  EXPECT_TRUE(huge.Open());
  huge.Push(Batch("a", 1, 1000));
  EXPECT_FALSE(huge.Open());
}

TEST(SendWindow, AnAnswerStandsForAllBeforeItOfItsStream) {
  SendWindow window(10, 1000);
  for (const uint64_t sequence : {5, 9, 12}) window.Push(Batch("a", sequence));
  window.Push(Batch("b", 4));
  window.Acknowledge("a", 11);  // inside a batch: that one is not done
  EXPECT_EQ(window.TakeDone().size(), 2u);
  window.Acknowledge("b", 4);
  EXPECT_TRUE(window.TakeDone().empty()) << "an earlier one is not done";
  window.Acknowledge("x", 100);
  EXPECT_TRUE(window.TakeDone().empty());
  window.Acknowledge("a", 12);
  EXPECT_EQ(window.TakeDone().size(), 2u);
  EXPECT_TRUE(window.empty());
}

TEST(SendWindow, FindsTheRefusedBatchByGoingOneAtATime) {
  SendWindow window(10, 1000);
  for (const uint64_t sequence : {1, 2, 3}) window.Push(Batch("a", sequence));
  EXPECT_FALSE(window.ClearRefused().has_value());
  EXPECT_TRUE(window.empty());
  window.Push(Batch("a", 1));
  EXPECT_FALSE(window.Open());
  window.Acknowledge("a", 1);
  EXPECT_EQ(window.TakeDone().size(), 1u);
  window.Push(Batch("a", 2));
  const auto refused = window.ClearRefused();
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->last_sequence, 2u);
  window.Push(Batch("a", 3));
  EXPECT_FALSE(window.Open());
  window.Acknowledge("a", 3);
  EXPECT_EQ(window.TakeDone().size(), 1u);
  window.Push(Batch("a", 4));
  EXPECT_TRUE(window.Open()) << "as many as were in flight have gone";
}

TEST(SendWindow, ARefusalWithNothingInFlightIsNoBatchs) {
  SendWindow window(10, 1000);
  EXPECT_FALSE(window.ClearRefused().has_value());
  EXPECT_FALSE(window.ClearRefused().has_value());
}

}  // namespace
}  // namespace tokenwatch
