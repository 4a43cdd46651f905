#include "collector/cli/table.h"

#include <gtest/gtest.h>

#include <clocale>

namespace tokenwatch {
namespace {

TEST(TableTest, ColumnsAreAsWideAsTheirWidestCell) {
  Table table({{"NAME"}, {"USES", true}, {"LAST"}});
  table.Add({"a", "12345", "x"});
  table.Add({"longer", "1", ""});
  EXPECT_EQ(table.Text(0, true),
            "NAME     USES  LAST\n"
            "a       12345  x\n"
            "longer      1\n");
}

TEST(TableTest, WideCharactersCountOnce) {
  Table table({{"A"}, {"B"}});
  table.Add({"\xc3\xa4\xc3\xb6", "1"});
  table.Add({"ab", "2"});
  EXPECT_EQ(table.Text(0, true), "A   B\n\xc3\xa4\xc3\xb6  1\nab  2\n");
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
  EXPECT_EQ(table.Csv(true),
            "A,B\r\n"
            "\"x,y\",\"say \"\"hi\"\"\"\r\n"
            "'=1+1,'-2\r\n"
            "'@sum,two\\u{d}\\u{a}lines\r\n");
}

TEST(TableTest, CsvCellsAreSafeForTerminalAndSpreadsheet) {
  const std::pair<std::string, std::string> rows[] = {
      {"", ""},
      {"plain", "plain"},
      {"+1", "'+1"},
      {"\tcmd", "'\\u{9}cmd"},
      {"\r=1", "'\\u{d}=1"},
      {"=1,\"x\"", "\"'=1,\"\"x\"\"\""},
      {"\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"},
      {"a=b", "a=b"},
      {"\xff", "\xef\xbf\xbd"},
  };
  for (const auto& [text, cell] : rows) {
    Table table({{"A"}});
    table.Add({text});
    EXPECT_EQ(table.Csv(false), cell + "\r\n");
  }
}

TEST(TableTest, EastAsianCharactersTakeTwoCells) {
  ASSERT_NE(std::setlocale(LC_CTYPE, "C.UTF-8"), nullptr);
  Table table({{"A"}, {"B"}});
  table.Add({"\xe6\x97\xa5\xe6\x9c\xac", "1"});
  table.Add({"e\xcc\x81", "2"});  // an accent takes none
  EXPECT_EQ(table.Text(0, true),
            "A     B\n\xe6\x97\xa5\xe6\x9c\xac  1\n"
            "e\xcc\x81     2\n");
}

TEST(TableTest, OnlyWhatMayShrinkDoes) {
  Table table(
      {{"TOKEN"}, {.title = "PATH", .may_shrink = true}, {.title = "N", .is_number = true}});
  const std::string token(30, 't');
  table.Add({token, std::string(40, 'p'), "7"});
  const std::string fits = token + "  " + std::string(17, 'p') + "\xe2\x80\xa6  7\n";
  EXPECT_EQ(table.Text(53, false), fits);
  EXPECT_EQ(table.Text(0, false), token + "  " + std::string(40, 'p') + "  7\n");
  const std::string least = token + "  " + std::string(11, 'p') + "\xe2\x80\xa6  7\n";
  EXPECT_EQ(table.Text(10, false), least) << "a line may be longer than the terminal";
}

}  // namespace
}  // namespace tokenwatch
