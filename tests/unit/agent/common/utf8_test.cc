#include "agent/common/utf8.h"

#include <gtest/gtest.h>

namespace tokenwatch {
namespace {

#define BAD "\xef\xbf\xbd"

TEST(Utf8Test, ReplacesWhatIsInvalid) {
  const std::pair<std::string, std::string> rows[] = {
      {"", ""},
      {"plain", "plain"},
      {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
      {"\xe2\x82\xac \xf0\x9f\x94\x91", "\xe2\x82\xac \xf0\x9f\x94\x91"},
      {"kept " BAD, "kept " BAD},
      {"\xff", BAD},
      {"a\x80z", "a" BAD "z"},
      {"\xc3", BAD},
      {"\xc3(", BAD "("},
      {"\xe2\x82", BAD},  // one part that could have begun a character
      {"\xe2\x82 x", BAD " x"},
      {"\xc0\xaf", BAD BAD},                  // overlong
      {"\xe0\x80\x80", BAD BAD BAD},          // overlong
      {"\xed\xa0\x80", BAD BAD BAD},          // surrogate
      {"\xf4\x90\x80\x80", BAD BAD BAD BAD},  // beyond U+10FFFF
      {"\xf0\x9f\x94", BAD},
      {std::string("\0x", 2), std::string("\0x", 2)},
  };
  for (const auto& [text, valid] : rows) {
    EXPECT_EQ(ReplaceInvalidUtf8(text), valid);
    EXPECT_EQ(IsValidUtf8(text), text == valid);
    EXPECT_TRUE(IsValidUtf8(valid));
  }
}

TEST(Utf8Test, EveryCodePointReadsBack) {
  for (char32_t c = 0; c <= 0x10ffff; ++c) {
    if (c >= 0xd800 && c <= 0xdfff) continue;
    std::string text;
    AppendUtf8(c, &text);
    std::string_view rest = text;
    ASSERT_EQ(TakeCodePoint(&rest), c);
    ASSERT_TRUE(rest.empty());
  }
}

}  // namespace
}  // namespace tokenwatch
