#include "collector/cli/top.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <termios.h>
#include <unistd.h>

#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "collector/cli/terminal.h"
#include "tests/unit/collector/cli/canned_server.h"

namespace tokenwatch {
namespace {

constexpr char kToken[] = "tok_35602yf42tr1pnyk1wrynxw9gd";

std::string Stamp(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", time, absl::UTCTimeZone());
}

std::string UseText(const std::string& token, absl::Time time, const std::string& outcome = "ok",
                    int count = 1, const std::string& sequence = "1") {
  return absl::StrCat(R"({"time":")", Stamp(time), R"(","tokenId":")", token, R"(","outcome":")",
                      outcome, R"(","count":)", count, R"(,"sequence":)", sequence,
                      R"(,"host":"api.test","owner":"pay\u001b","workload":{"host":"web-1",)"
                      R"("exe":"/usr/bin/curl","script":""}})");
}

Json Use(const std::string& token, absl::Time time, const std::string& outcome = "ok",
         int count = 1) {
  return Json::parse(UseText(token, time, outcome, count));
}

// All that was written to a terminal; ends it.
std::string Written(int master, int slave) {
  close(slave);
  std::string text;
  char buffer[4096];
  for (ssize_t got = 0; (got = read(master, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<size_t>(got));
  }
  close(master);
  return text;
}

const absl::Time kNow = absl::FromUnixSeconds(1'795'343'400);

TEST(Meter, SumsByTheUsesOwnTimes) {
  Meter meter;
  meter.Add(Use("tok_a", kNow - absl::Seconds(5)));
  meter.Add(Use("tok_a", kNow - absl::Seconds(200), "denied", 3));
  meter.Add(Use("tok_a", kNow - absl::Minutes(6), "ok", 50));  // of a backlog
  meter.Add(Use("tok_b", kNow - absl::Seconds(1), "ok", 4));
  meter.Add(Use("tok_c", kNow - absl::Seconds(100), "ok", 100));
  meter.Add(Use("", kNow - absl::Seconds(100)));
  for (int round = 0; round < 2; ++round) {
    const std::vector<Meter::Row> rows = meter.Rows(kNow);
    ASSERT_EQ(rows.size(), 4U);
    EXPECT_EQ(rows[0].token, "tok_b");
    EXPECT_EQ(rows[0].last_minute, 4U);
    EXPECT_EQ(rows[1].token, "tok_a");
    EXPECT_EQ(rows[1].last_minute, 1U);
    EXPECT_EQ(rows[1].last_minutes, 4U);
    EXPECT_EQ(rows[1].denied, 3U);
    EXPECT_EQ(rows[1].program, "curl");
    EXPECT_EQ(rows[2].token, "tok_c");
    EXPECT_EQ(rows[3].token, "unresolved");
    meter.Forget(kNow);
  }
  meter.Forget(kNow + absl::Hours(1));
  EXPECT_TRUE(meter.Rows(kNow).empty());
}

TEST(Meter, IsBounded) {
  Meter meter;
  for (size_t i = 0; i < Meter::kMostTokens + 10; ++i) {
    meter.Add(Use(absl::StrCat("tok_", i), kNow));
  }
  const std::vector<Meter::Row> rows = meter.Rows(kNow);
  EXPECT_EQ(rows.size(), Meter::kMostTokens + 1);
  EXPECT_EQ(rows[0].token, "others");
  EXPECT_EQ(rows[0].last_minute, 10U);
}

TEST(TopScreen, FitsAndIsSafe) {
  Meter meter;
  for (int i = 0; i < 30; ++i) meter.Add(Use(absl::StrCat("tok_", 100 + i), kNow, "denied", 6));
  CliOptions options;
  options.filters.limit = 0;
  const std::string screen = TopScreen(options, meter, kNow, 10, "; note");
  EXPECT_EQ(std::count(screen.begin(), screen.end(), '\n'), 10);
  EXPECT_EQ(screen.find("2026-11-22 10:30:00Z  30 tokens, 180 uses in the last minute, 180 in "
                        "five, 180 of them denied; note\n\nTOKEN "),
            0U)
      << screen;
  EXPECT_NE(screen.find("pay\\u{1b}"), std::string::npos) << screen;
  EXPECT_NE(screen.find(" 0.1 "), std::string::npos) << "a rate";
  EXPECT_EQ(screen.find('\x1b'), std::string::npos);
  options.filters.limit = 2;
  const std::string two = TopScreen(options, meter, kNow, 0, "");
  EXPECT_EQ(std::count(two.begin(), two.end(), '\n'), 5);
}

class TopTest : public testing::Test {
 protected:
  TopTest() {
    options_.server.url = server_.Url();
    const absl::Time now = absl::Now();
    // The place, the past, and what comes later.
    server_.Answer(
        {R"({"uses":[],"nextPageToken":"7"})",
         absl::StrCat(R"({"uses":[)", UseText(kToken, now), R"(],"nextPageToken":""})"),
         absl::StrCat(R"({"uses":[)", UseText(kToken, now), ",",
                      UseText(kToken, now, "denied", 1, "2"), R"(],"nextPageToken":"9"})")});
  }
  CannedServer server_;
  CliOptions options_;
  std::ostringstream out_;
};

TEST_F(TopTest, OneScreenAsText) {
  options_.filters.owner = "pay";
  EXPECT_EQ(Top(options_, {.once = true}, &out_), absl::OkStatus());
  EXPECT_EQ(server_.Requests(),
            (std::vector<std::string>{"/v1/uses/tail owner=pay limit=1000",
                                      "/v1/uses owner=pay limit=1000 since=5m"}));
  EXPECT_NE(out_.str().find("1 token, 1 uses in the last minute"), std::string::npos) << out_.str();
  EXPECT_NE(out_.str().find(kToken), std::string::npos);
}

TEST_F(TopTest, AServerThatIsNotThereIsSaid) {
  options_.server.url = "http://127.0.0.1:1";
  EXPECT_TRUE(absl::IsUnavailable(Top(options_, {.once = true}, &out_)));
}

TEST_F(TopTest, ATerminalIsGivenBackAsItWas) {
  int master = -1, slave = -1;
  winsize size{.ws_row = 20, .ws_col = 100};
  ASSERT_EQ(openpty(&master, &slave, nullptr, nullptr, &size), 0);
  termios before{};
  ASSERT_EQ(tcgetattr(slave, &before), 0);
  // Pressed before it is asked for: the first wait ends at once.
  ASSERT_EQ(write(master, "q", 1), 1);
  EXPECT_EQ(Top(options_, {.input = slave, .output = slave}, &out_), absl::OkStatus());
  termios after{};
  ASSERT_EQ(tcgetattr(slave, &after), 0);
  EXPECT_EQ(after.c_lflag, before.c_lflag);
  const std::string text = Written(master, slave);
  EXPECT_NE(text.find("\x1b[?1049h"), std::string::npos);
  EXPECT_NE(text.find(kToken), std::string::npos) << text;
  EXPECT_EQ(text.rfind("\x1b[?1049l"), text.size() - 8) << "and nothing behind it";
  EXPECT_NE(text.find("\x1b[?25h"), std::string::npos);
  EXPECT_EQ(out_.str(), "");
}

TEST_F(TopTest, ASignalLeavesAsAKeyDoes) {
  int master = -1, slave = -1;
  ASSERT_EQ(openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
  {
    auto terminal = Terminal::Open(slave, slave);
    ASSERT_TRUE(terminal.ok()) << terminal.status();
    EXPECT_FALSE((*terminal)->WantsToLeave(absl::Now()));
    ASSERT_EQ(write(master, "x", 1), 1);
    EXPECT_FALSE((*terminal)->WantsToLeave(absl::Now() + absl::Milliseconds(1)));
    // To this thread, which has it blocked.
    ASSERT_EQ(pthread_kill(pthread_self(), SIGTERM), 0);
    EXPECT_TRUE((*terminal)->WantsToLeave(absl::Now() + absl::Seconds(10)));
    (*terminal)->Draw("one\ntwo\n");
  }
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  EXPECT_EQ(sigismember(&mask, SIGTERM), 0);
  const std::string text = Written(master, slave);
  EXPECT_NE(text.find("\x1b[Hone\x1b[K\r\r\ntwo\x1b[K\x1b[J"), std::string::npos);
}

TEST_F(TopTest, WhatComesLaterIsCountedOnce) {
  int master = -1, slave = -1;
  winsize size{.ws_row = 20, .ws_col = 100};
  ASSERT_EQ(openpty(&master, &slave, nullptr, nullptr, &size), 0);
  // The server ends it: its fourth answer is none that a try would mend.
  server_.Answer({R"({"uses":[],"nextPageToken":"7"})", R"({"uses":[],"nextPageToken":""})",
                  absl::StrCat(R"({"uses":[)", UseText(kToken, absl::Now(), "denied", 5),
                               R"(],"nextPageToken":"9"})"),
                  R"({"code":"invalid_argument","message":"enough"})"},
                 400, 4);
  const absl::Status status =
      Top(options_, {.input = slave, .output = slave, .every = absl::Milliseconds(1)}, &out_);
  EXPECT_EQ(status, absl::InvalidArgumentError("enough"));
  const std::string text = Written(master, slave);
  EXPECT_NE(text.find("5 uses in the last minute, 5 in five, 5 of them denied"), std::string::npos)
      << text;
  EXPECT_GE(server_.Requests().size(), 4U);
  EXPECT_EQ(server_.Requests()[2], "/v1/uses/tail limit=1000 pageToken=7");
  EXPECT_EQ(server_.Requests()[3], "/v1/uses/tail limit=1000 pageToken=9");
}

}  // namespace
}  // namespace tokenwatch
