#include "bpf/frame.h"

#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "tests/bpf/frames.h"

namespace tokenwatch {
namespace {

struct HeaderCase {
  const char* name;
  uint32_t length;
  int type, flags;
  uint32_t stream;
  bool fits, is_likely;
};
void PrintTo(const HeaderCase& header, std::ostream* out) { *out << header.name; }

class FrameHeaderTest : public testing::TestWithParam<HeaderCase> {};

TEST_P(FrameHeaderTest, IsJudged) {
  const HeaderCase& want = GetParam();
  const tw_frame_header header = {want.length, want.stream, static_cast<uint8_t>(want.type),
                                  static_cast<uint8_t>(want.flags)};
  EXPECT_EQ(tw_frame_fits(&header), want.fits);
  EXPECT_EQ(tw_frame_is_likely(&header), want.is_likely);
}

INSTANTIATE_TEST_SUITE_P(
    , FrameHeaderTest,
    testing::Values(
        HeaderCase{"Data", 16384, TW_FRAME_DATA, 1, 1, true, true},
        HeaderCase{"DataOnTheConnection", 1, TW_FRAME_DATA, 0, 0, false, false},
        HeaderCase{"DataWithoutItsPadLength", 0, TW_FRAME_DATA, TW_FRAME_PADDED, 1, false, false},
        HeaderCase{"DataOfTheLargestLength", TW_FRAME_MAX, TW_FRAME_DATA, 0, 1, true, false},
        HeaderCase{"DataWithAnUndefinedFlag", 1, TW_FRAME_DATA, 0x40, 1, true, false},
        HeaderCase{"Headers", 1, TW_FRAME_HEADERS, 0x25, 1, false, false},
        HeaderCase{"HeadersWithPriority", 6, TW_FRAME_HEADERS, 0x25, 1, true, true},
        HeaderCase{"HeadersPaddedWithPriority", 5, TW_FRAME_HEADERS, 0x28, 1, false, false},
        HeaderCase{"HeadersTooLong", TW_FRAME_LIKELY + 1, TW_FRAME_HEADERS, 4, 1, false, false},
        HeaderCase{"HeadersWithTheReservedBit", 9, TW_FRAME_HEADERS, 4, 0x80000001, false, false},
        HeaderCase{"Priority", 5, TW_FRAME_PRIORITY, 0, 1, true, true},
        HeaderCase{"PriorityShort", 4, TW_FRAME_PRIORITY, 0, 1, false, false},
        HeaderCase{"Reset", 4, TW_FRAME_RST_STREAM, 0, 1, true, true},
        HeaderCase{"ResetOfTheConnection", 4, TW_FRAME_RST_STREAM, 0, 0, false, false},
        HeaderCase{"Settings", 18, TW_FRAME_SETTINGS, 0, 0, true, true},
        HeaderCase{"SettingsOfAStream", 18, TW_FRAME_SETTINGS, 0, 1, false, false},
        HeaderCase{"SettingsOdd", 17, TW_FRAME_SETTINGS, 0, 0, false, false},
        HeaderCase{"SettingsAck", 0, TW_FRAME_SETTINGS, TW_FRAME_ACK, 0, true, true},
        HeaderCase{"SettingsAckWithSettings", 6, TW_FRAME_SETTINGS, TW_FRAME_ACK, 0, false, false},
        HeaderCase{"PushPromise", 4, TW_FRAME_PUSH_PROMISE, 4, 1, true, true},
        HeaderCase{"PushPromiseShort", 3, TW_FRAME_PUSH_PROMISE, 4, 1, false, false},
        HeaderCase{"Ping", 8, TW_FRAME_PING, 1, 0, true, true},
        HeaderCase{"PingLong", 9, TW_FRAME_PING, 1, 0, false, false},
        HeaderCase{"Goaway", 11, TW_FRAME_GOAWAY, 0, 0, true, true},
        HeaderCase{"GoawayShort", 7, TW_FRAME_GOAWAY, 0, 0, false, false},
        HeaderCase{"WindowOfTheConnection", 4, TW_FRAME_WINDOW_UPDATE, 0, 0, true, true},
        HeaderCase{"WindowOfAStream", 4, TW_FRAME_WINDOW_UPDATE, 0, 7, true, true},
        HeaderCase{"WindowShort", 3, TW_FRAME_WINDOW_UPDATE, 0, 7, false, false},
        HeaderCase{"Continuation", 0, TW_FRAME_CONTINUATION, 4, 1, true, true},
        HeaderCase{"ContinuationOnTheConnection", 0, TW_FRAME_CONTINUATION, 4, 0, false, false},
        // RFC 9113, 5.5: unknown types are to be ignored; but they begin no chain.
        HeaderCase{"Extension", 100, 0x10, 0xff, 0, true, false},
        HeaderCase{"ExtensionOfAnotherStream", 0, 0xfe, 0, 9, true, false},
        HeaderCase{"ExtensionTooLong", TW_FRAME_LIKELY + 1, 0x10, 0, 0, false, false}),
    [](const auto& header) { return header.param.name; });

TEST(FrameHeader, IsTakenFromItsBytes) {
  const std::string bytes = Frame(TW_FRAME_GOAWAY, 0x81, 0x12345678, std::string(70000, 'x'));
  uint64_t rest = 0;
  for (size_t i = 1; i < TW_FRAME_HEADER; ++i) rest = rest << 8 | static_cast<uint8_t>(bytes[i]);
  tw_frame_header header = {};
  tw_take_header(&header, static_cast<uint8_t>(bytes[0]), rest);
  EXPECT_EQ(header.length, 70000u);
  EXPECT_EQ(header.type, TW_FRAME_GOAWAY);
  EXPECT_EQ(header.flags, 0x81);
  EXPECT_EQ(header.stream, 0x12345678u);
}

}  // namespace
}  // namespace tokenwatch
