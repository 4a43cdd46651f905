#include "collector/cli/timeline.h"

#include <gtest/gtest.h>

#include <clocale>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "collector/cli/table.h"

namespace tokenwatch {
namespace {

// 100 hours: each fifth empty, the rest rising, some denied in the middle.
Json Detail() {
  Json detail = {{"token", {{"successor", ""}, {"expires", "2026-12-01T00:00:00.000000Z"}}},
                 {"timeline", Json::array()}};
  for (int i = 0; i < 100; ++i) {
    const int day = 20 + i / 24, hour = i % 24;
    detail["timeline"].push_back({{"start", absl::StrCat("2026-11-", day, "T", hour < 10 ? "0" : "",
                                                         hour, ":00:00.000000Z")},
                                  {"seconds", 3600},
                                  {"uses", i % 5 == 0 ? 0 : i},
                                  {"denied", i == 51 ? 40 : 0}});
  }
  const auto usage = [&](const char* exe, const char* host, const char* first,
                         const char* direction) {
    detail["usage"].push_back({{"machine", "web-1"},
                               {"exe", exe},
                               {"script", ""},
                               {"host", host},
                               {"firstUsed", first},
                               {"direction", direction}});
  };
  usage("/usr/bin/curl", "api.test", "2026-11-20T01:02:03.000000Z", "outbound");
  usage("/usr/bin/curl", "paste.test", "2026-11-21T01:02:03.000000Z", "outbound");
  usage("/usr/bin/node", "api.test", "2026-11-22T01:02:03.000000Z", "outbound");
  usage("/usr/bin/nginx", "in.test", "2026-11-19T01:02:03.000000Z", "inbound");
  detail["findings"].push_back({{"findingId", "fnd_1"},
                                {"severity", "high"},
                                {"title", "odd\x1b[2J"},
                                {"firstSeen", "2026-11-23T01:02:03.000000Z"}});
  detail["facts"].push_back(Json::parse(
      R"({"name":"rotated_to","told":[{"value":"tok_b","firstSeen":"2026-11-24T01:02:03.000000Z"}]})"));
  return Json::parse(
      detail.dump(-1, ' ', false, Json::error_handler_t::replace));  // as numbers come
}

std::vector<std::string> Lines(const std::string& text) { return absl::StrSplit(text, '\n'); }

TEST(TimelineText, BarsAndWhatHappened) {
  std::setlocale(LC_CTYPE, "C.UTF-8");
  const std::vector<std::string> lines = Lines(TimelineText(Detail(), {}));
  const std::vector<std::string> expected = {
      "        2026-11-20" + std::string(80, ' ') + "2026-11-24",
      "        A column is 1 hour, the highest 99 uses; UTC.",
      "",
      "2026-11-20 01:02:03Z  first used, by curl on web-1, for api.test",
      "2026-11-21 01:02:03Z  new host paste.test",
      "2026-11-22 01:02:03Z  new program node on web-1",
      "2026-11-22 03:00:00Z  40 of 51 uses denied, in 1 hour",
      "2026-11-23 01:02:03Z  finding, high: odd\\u{1b}[2J (fnd_1)",
      "2026-11-24 01:02:03Z  replaced by tok_b",
      "2026-12-01 00:00:00Z  expires",
      ""};
  ASSERT_EQ(lines.size(), expected.size() + 2);
  EXPECT_EQ(CellsOf(lines[0]), 108U);
  // Nothing at hour 0, the lowest bar for the next ones, the highest at the end.
  EXPECT_EQ(lines[0].substr(0, 9 + 3), "Uses     \u2581");
  EXPECT_EQ(lines[0].substr(lines[0].size() - 3), "\u2588");
  EXPECT_EQ(lines[1].substr(0, 8), "Denied  ");
  EXPECT_EQ(CellsOf(lines[1]), 8 + 52U) << "one bar, at hour 51";
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(lines[i + 2], expected[i]);
}

// The hour of a token's first use began before it.
TEST(TimelineText, NothingComesBeforeTheFirstUse) {
  Json detail = Detail();
  detail["timeline"][1]["denied"] = 60U;
  detail["timeline"][1]["uses"] = 67U;
  const std::vector<std::string> lines = Lines(TimelineText(detail, {.width = 200}));
  ASSERT_GT(lines.size(), 6u);
  EXPECT_EQ(lines[5], "2026-11-20 01:02:03Z  first used, by curl on web-1, for api.test");
  EXPECT_EQ(lines[6], "2026-11-20 01:02:03Z  60 of 67 uses denied, in 1 hour");
}

TEST(TimelineText, FitsATerminal) {
  for (const size_t width : {30, 40, 60, 80, 107, 108, 200}) {
    const std::vector<std::string> lines = Lines(TimelineText(Detail(), {.width = width}));
    EXPECT_LE(CellsOf(lines[0]), width) << lines[0];
    EXPECT_EQ(lines[0].substr(lines[0].size() - 3), "\u2588") << width;
  }
  const std::string narrow = TimelineText(Detail(), {.width = 60});
  EXPECT_NE(narrow.find("A column is 2 hours, the highest 197 uses"), std::string::npos) << narrow;
}

TEST(TimelineText, IsAsciiWhereATerminalHasNoMore) {
  const std::string text = TimelineText(Detail(), {.width = 80, .blocks = false});
  EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](char c) {
    return c == '\n' || (c >= 0x20 && c < 0x7f);
  })) << text;
  EXPECT_EQ(Lines(text)[0].back(), '#');
}

TEST(TimelineText, ManyEventsLeaveTheNewest) {
  Json detail = Detail();
  for (int i = 0; i < 60; ++i) {
    detail["findings"].push_back(
        {{"title", absl::StrCat("number ", i)}, {"firstSeen", "2026-11-25T00:00:00.000000Z"}});
  }
  const std::string text = TimelineText(detail, {});
  EXPECT_NE(text.find("first used"), std::string::npos);
  EXPECT_NE(text.find("  ... 27 more\n"), std::string::npos) << text;
  EXPECT_NE(text.find("number 59"), std::string::npos);
  EXPECT_EQ(text.find("number 0 "), std::string::npos);
}

TEST(TimelineText, SaysNothingWithoutUses) {
  EXPECT_EQ(TimelineText(Json::object(), {}), "");
  EXPECT_EQ(TimelineText(Json::parse(R"({"timeline":[]})"), {}), "");
  EXPECT_EQ(TimelineText(Json::parse(R"({"timeline":[{"start":1}]})"), {}), "")
      << "no server of ours";
}

}  // namespace
}  // namespace tokenwatch
