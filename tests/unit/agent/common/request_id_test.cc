#include "agent/common/request_id.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace tokenwatch {
namespace {

using std::string_literals::operator""s;

TEST(RequestIdTest, ComesBackAsItWas) {
  struct Case {
    std::string text;
    size_t packed;  // 0: it stays text
  };
  const Case cases[] = {
      {"", 0},
      {"0f8fad5b-d9cb-469f-a165-70867728950e", 17},
      {"0F8FAD5B-D9CB-469F-A165-70867728950E", 17},
      {"00000000-0000-0000-0000-000000000000", 17},
      {"0f8fad5b-d9cb-469f-a165-70867728950E", 0},  // of two cases
      {"0f8fad5b-d9cb-469f-a165-70867728950", 0},
      {"0f8fad5b-d9cb-469f-a165-70867728950e0", 0},
      {"0f8fad5bd-9cb-469f-a165-70867728950e", 0},
      {"0f8fad5b-d9cb-469f-a165-7086-728950e", 0},
      {"0f8fad5b-d9cb-469f-a165-70867728950g", 0},
      {"{0f8fad5b-d9cb-469f-a165-70867728950}", 0},
      {"0f8fad5bd9cb469fa16570867728950e1234", 19},
      {"4bf92f3577b34da6a3ce929d0e0e4736", 17},
      {"4BF92F3577B34DA6A3CE929D0E0E4736", 17},
      {"4Bf92f3577b34da6a3ce929d0e0e4736", 0},
      {"0123456789", 6},
      {"00", 2},
      {"abc", 0},
      {"0x12", 0},
      {"+1", 0},  // a number to some parsers
      {" 1", 0},
      {"-1-2", 0},
      {"----", 0},
      {"req-17", 0},
      {"1\0"s, 0},
      {"\xff\xff", 0},
      {std::string(256, 'f'), 129},
      {std::string(258, 'f'), 0},
  };
  for (const Case& test : cases) {
    const std::string packed = PackRequestId(test.text);
    EXPECT_EQ(packed.size(), test.packed) << test.text;
    if (test.packed != 0) {
      EXPECT_EQ(UnpackRequestId(packed), test.text);
    }
  }
}

TEST(RequestIdTest, RefusesWhatNobodyPacked) {
  const std::string cases[] = {"",
                               "u",
                               "h",
                               "x1234",
                               "u" + std::string(15, 'a'),
                               "U" + std::string(17, 'a'),
                               "H" + std::string(129, 'a'),
                               "\0\0"s};
  for (const std::string& packed : cases) {
    EXPECT_EQ(UnpackRequestId(packed), std::nullopt) << packed;
  }
}

}  // namespace
}  // namespace tokenwatch
