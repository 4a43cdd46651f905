// A stream of uses that goes on where it ended.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "agent/common/http_server.h"
#include "collector/api/http_api.h"
#include "collector/cli/commands.h"
#include "collector/cli/cursor_file.h"
#include "collector/cli/ocsf_lines.h"
#include "collector/cli/whole_lines.h"
#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch {
namespace {

using ::tokenwatch::testing::kNow;

class CursorTest : public ::testing::Test {
 protected:
  CursorTest() {
    unlink(file_.c_str());
    Serve();
    options_.output.form = "json";
    options_.filters.limit = 0;
  }
  ~CursorTest() override { unlink(file_.c_str()); }

  void Serve() {
    queries_ = std::make_unique<Queries>(&store_.store(), [](const std::string&) { return false; });
    api_ = std::make_unique<HttpApi>(HttpApi::Options());
    api_->SetReady(queries_.get());
    server_ =
        *HttpServer::Create(*ParseAddress("127.0.0.1:0"), {},
                            [this](const HttpRequest& request) { return api_->Handle(request); });
    options_.server.url = "http://" + server_->ListenAddress().ToString();
  }
  // Uses with the request ids first, first + 1, ...
  void Add(int first, int count) {
    std::vector<UseRow> rows;
    for (int i = first; i < first + count; ++i) {
      rows.push_back(tokenwatch::testing::Use(tokenwatch::testing::PlainContext(),
                                              tokenwatch::testing::Token(1), kNow + i));
      rows.back().request_id = absl::StrCat("id-", i);
    }
    store_.Add(std::move(rows));
  }
  // Looks so often, and returns the request ids that were shown.
  std::vector<std::string> Tail(uint64_t looks) {
    out_.str("");
    const absl::Status status = TailUses(
        options_, {.pause = absl::ZeroDuration(), .looks = looks, .cursor_file = file_}, &out_);
    EXPECT_TRUE(status.ok()) << status;
    std::vector<std::string> ids;
    std::istringstream lines(out_.str());
    for (std::string line; std::getline(lines, line);) {
      ids.push_back(Json::parse(line).at("requestId").get<std::string>());
    }
    return ids;
  }
  static std::vector<std::string> Ids(int first, int count) {
    std::vector<std::string> ids;
    for (int i = first; i < first + count; ++i) ids.push_back(absl::StrCat("id-", i));
    return ids;
  }

  const std::string file_ = absl::StrCat(::testing::TempDir(), "/cursor-", getpid());
  tokenwatch::testing::StoreFixture store_{/*retention_days=*/10};
  std::unique_ptr<Queries> queries_;
  std::unique_ptr<HttpApi> api_;
  std::unique_ptr<HttpServer> server_;
  CliOptions options_;
  std::ostringstream out_;
};

TEST_F(CursorTest, NothingIsMissedOrShownTwiceBetweenRuns) {
  Add(0, 5);
  EXPECT_EQ(Tail(1), Ids(0, 0)) << "it begins now";
  Add(5, 2500);
  EXPECT_EQ(Tail(2), Ids(5, 2000));
  EXPECT_EQ(Tail(3), Ids(2005, 500));
  EXPECT_EQ(Tail(1), Ids(0, 0));
}

TEST_F(CursorTest, ItSurvivesTheCollector) {
  EXPECT_EQ(Tail(1), Ids(0, 0));
  Add(0, 3);
  server_.reset();
  store_.Reopen();
  Serve();
  Add(3, 3);
  EXPECT_EQ(Tail(2), Ids(0, 6));
}

TEST_F(CursorTest, ALimitEndsBehindWhatWasShown) {
  EXPECT_EQ(Tail(1), Ids(0, 0));
  Add(0, 20);
  options_.filters.limit = 7;
  EXPECT_EQ(Tail(5), Ids(0, 7));
  EXPECT_EQ(Tail(5), Ids(7, 7));
}

TEST_F(CursorTest, ThePastComesOnceAndOnlyWithoutACursor) {
  Add(0, 10);
  options_.filters.since = "24h";
  store_.SetNow(kNow + 100);
  EXPECT_EQ(Tail(1), Ids(0, 10));
  const absl::Status status = TailUses(options_, {.looks = 1, .cursor_file = file_}, &out_);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_NE(status.message().find("leave --since out"), std::string::npos);
  options_.filters.since.clear();
  Add(10, 1);
  EXPECT_EQ(Tail(2), Ids(10, 1));
}

TEST_F(CursorTest, WhatCouldNotBeWrittenIsShownAgain) {
  EXPECT_EQ(Tail(1), Ids(0, 0));
  Add(0, 3);
  out_.setstate(std::ios::badbit);
  EXPECT_TRUE(TailUses(options_, {.looks = 2, .cursor_file = file_}, &out_).ok());
  out_.clear();
  EXPECT_EQ(Tail(2), Ids(0, 3));
}

TEST_F(CursorTest, OcsfIsALineAUse) {
  EXPECT_EQ(Tail(1), Ids(0, 0));
  Add(0, 3);
  options_.output.form = "ocsf";
  out_.str("");
  ASSERT_TRUE(TailUses(options_, {.looks = 2, .cursor_file = file_}, &out_).ok());
  std::istringstream lines(out_.str());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const Json event = Json::parse(line);
    EXPECT_EQ(event["class_uid"], 6003);
    EXPECT_EQ(event["time"], (kNow + count) / 1000) << line;
    const std::string uid = event["metadata"]["uid"].get<std::string>();
    EXPECT_EQ(uid.substr(uid.rfind('/')), absl::StrCat("/", count + 1));
    EXPECT_NE(line.find(tokenwatch::testing::TokenText(1)), std::string::npos) << line;
  }
  EXPECT_EQ(count, 3);
  options_.output.form = "json";
  EXPECT_EQ(Tail(2), Ids(0, 0)) << "the cursor is behind them";
  EXPECT_TRUE(absl::IsUnavailable(OcsfLine(Json::parse(R"({"time":5})")).status()));
}

TEST_F(CursorTest, WhatRetentionDroppedIsTold) {
  EXPECT_EQ(Tail(1), Ids(0, 0));
  Add(0, 3);
  const int64_t later = kNow + 20 * tokenwatch::testing::kDay;
  store_.SetNow(later);
  store_.Add({tokenwatch::testing::Use(tokenwatch::testing::PlainContext(),
                                       tokenwatch::testing::Token(1), later)});
  std::string told;
  options_.output.form = "ocsf";
  ASSERT_TRUE(TailUses(options_,
                       {.looks = 2,
                        .notice = [&told](const std::string& notice) { told += notice; },
                        .cursor_file = file_},
                       &out_)
                  .ok());
  EXPECT_EQ(told.find("gap: the collector dropped 3 uses"), 0U) << told;
  std::istringstream lines(out_.str());
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  const Json gap = Json::parse(line);
  EXPECT_EQ(gap["class_uid"], 0);
  EXPECT_EQ(gap["count"], 3);
  EXPECT_EQ(gap["metadata"]["uid"], "gap/0/4");
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(Json::parse(line)["class_uid"], 6003);
  EXPECT_FALSE(std::getline(lines, line));
  EXPECT_EQ(queries_->TailDropped(), 3U);
}

// Each flush is what one write(2) takes.
class Flushes : public std::stringbuf {
 public:
  int sync() override {
    parts.push_back(str());
    str("");
    return 0;
  }
  std::vector<std::string> parts;
};

TEST(WholeLines, AreWrittenInPartsThatAPipeTakesWhole) {
  std::string text;
  for (size_t length : {10, 4000, 90, 9000, 1, 2000, 2000, 2000}) {
    text += std::string(length, 'x') + "\n";
  }
  Flushes flushes;
  std::ostream out(&flushes);
  EXPECT_TRUE(WriteWholeLines(text, &out));
  std::string all;
  std::vector<size_t> sizes;
  for (const std::string& part : flushes.parts) {
    EXPECT_TRUE(part.ends_with("\n"));
    sizes.push_back(part.size());
    all += part;
  }
  EXPECT_EQ(all, text);
  EXPECT_EQ(sizes, (std::vector<size_t>{4012, 91, 9001, 4004, 2001}));
}

TEST_F(CursorTest, AnotherStoreIsNoticed) {
  Add(0, 3);
  ASSERT_TRUE(WriteCursor(file_, "1000").ok());
  const absl::Status status = TailUses(options_, {.looks = 1, .cursor_file = file_}, &out_);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_NE(status.message().find("begun anew or restored"), std::string::npos) << status;
}

TEST_F(CursorTest, TheFileIsAPlaceOrIsRefused) {
  EXPECT_EQ(*ReadCursor(file_), "");
  ASSERT_TRUE(WriteCursor(file_, "42").ok());
  EXPECT_EQ(*ReadCursor(file_), "42");
  struct stat info{};
  ASSERT_EQ(stat(file_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  for (const char* text : {"", "\n", "42", "4 2\n", "42\n43\n", "\x1b[2J\n"}) {
    std::ofstream(file_) << text;
    EXPECT_TRUE(absl::IsInvalidArgument(ReadCursor(file_).status())) << text;
  }
  EXPECT_FALSE(ReadCursor("/").ok());
  EXPECT_FALSE(WriteCursor("/nowhere/cursor", "42").ok());
}

}  // namespace
}  // namespace tokenwatch
