#include "collector/cli/table.h"

#include <gtest/gtest.h>

namespace tokenwatch {
namespace {

TEST(TableTest, ColumnsAreAsWideAsTheirWidestCell) {
  Table table({{"NAME"}, {"USES", true}, {"LAST"}});
  table.Add({"a", "12345", "x"});
  table.Add({"longer", "1", ""});
  EXPECT_EQ(table.Text(),
            "NAME     USES  LAST\n"
            "a       12345  x\n"
            "longer      1\n");
}

TEST(TableTest, WideCharactersCountOnce) {
  Table table({{"A"}, {"B"}});
  table.Add({"\xc3\xa4\xc3\xb6", "1"});
  table.Add({"ab", "2"});
  EXPECT_EQ(table.Text(), "A   B\n\xc3\xa4\xc3\xb6  1\nab  2\n");
}

TEST(ShownSafelyTest, WhatATerminalActsOnIsSpelledOut) {
  struct Case {
    std::string text, shown;
  };
  const Case cases[] = {
      {"plain text", "plain text"},
      {"\x1b[31mred", "\\u{1b}[31mred"},
      {"two\nlines\r", "two\\u{a}lines\\u{d}"},
      {std::string("nul\0", 4), "nul\\u{0}"},
      {"\x7f", "\\u{7f}"},
      {"\xc2\x9b"
       "31m",
       "\\u{9b}31m"},  // C1's escape
      {"\xe2\x80\xae"
       "gpj.exe",
       "\\u{202e}gpj.exe"},           // right-to-left override
      {"\xe2\x80\x8b", "\\u{200b}"},  // zero width space
      {"caf\xc3\xa9", "caf\xc3\xa9"},
      {"\xff", "\xef\xbf\xbd"},
  };
  for (const Case& c : cases) EXPECT_EQ(ShownSafely(c.text), c.shown);
}

TEST(TableTest, CsvQuotesAndDefusesFormulas) {
  Table table({{"A"}, {"B"}});
  table.Add({"x,y", "say \"hi\""});
  table.Add({"=1+1", "-2"});
  table.Add({"@sum", "two\r\nlines"});
  EXPECT_EQ(table.Csv(),
            "A,B\r\n"
            "\"x,y\",\"say \"\"hi\"\"\"\r\n"
            "'=1+1,'-2\r\n"
            "'@sum,\"two\r\nlines\"\r\n");
}

}  // namespace
}  // namespace tokenwatch
