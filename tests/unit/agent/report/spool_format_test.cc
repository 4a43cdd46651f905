#include "agent/report/spool_format.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/agent/report/newer_header.h"

namespace tokenwatch {
namespace {

const std::string kStream = "0123456789abcdef";

RecordInfo SampleInfo() {
  return {.first_sequence = 42,
          .uses = 7,
          .gaps = 2,
          .counted = 9,
          .since_us = 1'700'000'000'000'000,
          .until_us = 1'700'000'000'100'000,
          .spooled_us = 1'700'000'000'200'000};
}

TEST(SpoolFormat, HeadersComeBack) {
  const std::string bytes = EncodeSegmentHeader({kStream, 17});
  ASSERT_EQ(bytes.size(), kSegmentHeaderSize);
  const auto header = DecodeSegmentHeader(bytes);
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->stream_id, kStream);
  EXPECT_EQ(header->first_sequence, 17u);
}

TEST(SpoolFormat, EveryDamagedByteOfAHeaderIsNoticed) {
  const std::string bytes = EncodeSegmentHeader({kStream, 17});
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_FALSE(DecodeSegmentHeader(damaged).ok()) << i;
  }
  EXPECT_FALSE(DecodeSegmentHeader(bytes.substr(0, bytes.size() - 1)).ok());
}

TEST(SpoolFormat, AnotherVersionIsSaidToBeOne) {
  const std::string bytes = NewerHeader(EncodeSegmentHeader({kStream, 17}));
  EXPECT_EQ(DecodeSegmentHeader(bytes).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(SpoolFormat, RecordsComeBack) {
  std::string bytes;
  AppendRecord(kStream, SampleInfo(), "payload", &bytes);
  ASSERT_EQ(bytes.size(), kRecordHeaderSize + 7);
  RecordHeader header;
  ASSERT_TRUE(DecodeRecordHeader(kStream, bytes, &header));
  EXPECT_EQ(header.info.first_sequence, 42u);
  EXPECT_EQ(header.info.uses, 7u);
  EXPECT_EQ(header.info.gaps, 2u);
  EXPECT_EQ(header.info.counted, 9u);
  EXPECT_EQ(header.info.since_us, SampleInfo().since_us);
  EXPECT_EQ(header.info.until_us, SampleInfo().until_us);
  EXPECT_EQ(header.info.spooled_us, SampleInfo().spooled_us);
  EXPECT_EQ(header.info.end_sequence(), 51u);
  EXPECT_EQ(header.payload_size, 7u);
  EXPECT_TRUE(PayloadMatches(kStream, header, "payload"));
  EXPECT_FALSE(PayloadMatches(kStream, header, "paYload"));
  EXPECT_FALSE(PayloadMatches(kStream, header, "payloa"));
}

TEST(SpoolFormat, EveryDamagedByteOfARecordIsNoticed) {
  std::string bytes;
  AppendRecord(kStream, SampleInfo(), "payload", &bytes);
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x80);
    RecordHeader header;
    const bool whole = DecodeRecordHeader(kStream, damaged, &header) &&
                       PayloadMatches(kStream, header, damaged.substr(kRecordHeaderSize));
    EXPECT_FALSE(whole) << i;
  }
}

TEST(SpoolFormat, ARecordInsideAPayloadCannotPassForOneOfAnotherStream) {
  std::string forged;
  AppendRecord("fedcba9876543210", SampleInfo(), "forged", &forged);
  std::string bytes = "noise TWRC more noise" + forged;
  EXPECT_EQ(FindRecord(kStream, bytes), std::string::npos);
  const size_t begin = bytes.size();
  AppendRecord(kStream, SampleInfo(), "real", &bytes);
  EXPECT_EQ(FindRecord(kStream, bytes), begin);
}

}  // namespace
}  // namespace tokenwatch
