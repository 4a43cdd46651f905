#include "collector/ingest/valid_utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace tokenwatch {
namespace {

TEST(ValidUtf8, EscapesOnlyWhatIsNoText) {
  const struct {
    std::string bytes;
    std::string text;
  } cases[] = {
      {"", ""},
      {"plain", "plain"},
      {"gr\xc3\xbc\xc3\x9f dich \xf0\x9f\x8c\x8d", "gr\xc3\xbc\xc3\x9f dich \xf0\x9f\x8c\x8d"},
      {"\xff", "\\xff"},
      {"a\xc3", "a\\xc3"},
      {"a\xe2\x82z", "a\\xe2\\x82z"},
      {"\xc0\xaf", "\\xc0\\xaf"},              // overlong
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},     // surrogate
      {"\xef\xbf\xbd ok", "\xef\xbf\xbd ok"},  // a replacement character that was sent as one
      {std::string("a\0b", 3), std::string("a\0b", 3)},
      {"\x1b[31m", "\x1b[31m"},
  };
  for (const auto& test : cases) EXPECT_EQ(ValidUtf8(test.bytes), test.text);
}

}  // namespace
}  // namespace tokenwatch
