#include "agent/capture/segment.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace tokenwatch {
namespace {

std::vector<uint8_t> DataRecord(const std::string& bytes) {
  tw_data data = {};
  data.h.type = TW_DATA;
  data.h.version = TW_SEGMENT_VERSION;
  data.h.size = sizeof(data);
  data.h.len = static_cast<__u32>(bytes.size());
  data.connection = 7;
  std::vector<uint8_t> record(sizeof(data) + bytes.size());
  std::memcpy(record.data(), &data, sizeof(data));
  std::memcpy(record.data() + sizeof(data), bytes.data(), bytes.size());
  return record;
}

TEST(SegmentTest, DataHasItsBytes) {
  const std::vector<uint8_t> record = DataRecord("GET / HTTP/1.1\r\n");
  const absl::StatusOr<Segment> segment = ParseSegment(record);
  ASSERT_TRUE(segment.ok()) << segment.status();
  const auto& data = std::get<DataSegment>(*segment);
  EXPECT_EQ(data.meta.connection, 7u);
  EXPECT_EQ(data.bytes, "GET / HTTP/1.1\r\n");
}

TEST(SegmentTest, ReservationMayBeLargerThanItsBytes) {
  std::vector<uint8_t> record = DataRecord("x");
  record.resize(record.size() + 400);
  const absl::StatusOr<Segment> segment = ParseSegment(record);
  ASSERT_TRUE(segment.ok());
  EXPECT_EQ(std::get<DataSegment>(*segment).bytes, "x");
}

TEST(SegmentTest, WrongRecordsAreRefused) {
  EXPECT_FALSE(ParseSegment({}).ok());
  std::vector<uint8_t> record = DataRecord("abc");
  record.pop_back();
  EXPECT_FALSE(ParseSegment(record).ok());
  record = DataRecord("abc");
  record[0] = 99;
  EXPECT_FALSE(ParseSegment(record).ok());
  record = DataRecord("abc");
  record[1] = TW_SEGMENT_VERSION + 1;
  EXPECT_FALSE(ParseSegment(record).ok());
  record = DataRecord("abc");
  record[2] += 8;
  EXPECT_FALSE(ParseSegment(record).ok());
}

}  // namespace
}  // namespace tokenwatch
