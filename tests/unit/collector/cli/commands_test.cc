// The commands against a server that answers as the collector does.
#include "collector/cli/commands.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "agent/common/http_server.h"

namespace tokenwatch {
namespace {

class CommandsTest : public testing::Test {
 protected:
  void SetUp() override {
    Address address;
    address.host = "127.0.0.1";
    HttpServer::Options options;
    options.body_bytes = 4096;
    auto server = HttpServer::Create(address, options, [this](const HttpRequest& request) {
      std::string line = request.target.path;
      for (const auto& [name, value] : request.target.parameters) {
        line += " " + name + "=" + value;
      }
      requests_.push_back(line);
      bodies_.emplace_back(request.body);
      HttpResponse response;
      response.status = status_;
      response.body = answers_[std::min(requests_.size(), answers_.size()) - 1];
      return response;
    });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    options_.server = "http://" + server_->ListenAddress().ToString();
  }

  CliOptions options_;
  std::vector<std::string> answers_, requests_, bodies_;
  int status_ = 200;
  std::ostringstream out_;
  std::unique_ptr<HttpServer> server_;
};

constexpr char kUse[] =
    R"({"time":"2026-01-02T03:04:05.678901Z","tokenId":"tok_35602yf42tr1pnyk1wrynxw9gd",)"
    R"("method":"GET","scheme":"https","host":"api.test","path":"/v1","status":200,)"
    R"("peerAddress":"::1","peerPort":443,"peerCertainty":"inferred","sequence":7,)"
    R"("workload":{"pid":42,"exe":"/usr/bin/curl"}})";

TEST_F(CommandsTest, FiltersArePassedOnAndPagesFollowed) {
  answers_ = {std::string(R"({"uses":[)") + kUse + R"(],"nextPageToken":"n"})",
              std::string(R"({"uses":[)") + kUse + R"(],"nextPageToken":""})"};
  options_.output.form = "json";
  options_.filters.since = "24h";
  options_.filters.endpoint = "GET api.test/*";
  options_.filters.limit = 5;
  EXPECT_EQ(ListUses(options_, &out_), absl::OkStatus());
  ASSERT_EQ(requests_.size(), 2U);
  EXPECT_EQ(requests_[0], "/v1/uses since=24h endpoint=GET api.test/* limit=5");
  EXPECT_EQ(requests_[1], "/v1/uses since=24h endpoint=GET api.test/* limit=4 pageToken=n");
  EXPECT_EQ(out_.str(), std::string(kUse) + "\n" + kUse + "\n");
}

TEST_F(CommandsTest, TheLimitHoldsWhateverTheServerSends) {
  answers_ = {std::string(R"({"uses":[)") + kUse + "," + kUse + R"(],"nextPageToken":"n"})"};
  options_.output.form = "json";
  options_.filters.limit = 1;
  EXPECT_EQ(ListUses(options_, &out_), absl::OkStatus());
  EXPECT_EQ(requests_.size(), 1U);
  EXPECT_EQ(out_.str(), std::string(kUse) + "\n");
}

TEST_F(CommandsTest, NoLimitAsksForLargePages) {
  answers_ = {std::string(R"({"uses":[)") + kUse + R"(],"nextPageToken":"n"})", R"({"uses":[]})"};
  options_.output.form = "csv";
  options_.filters.limit = 0;
  EXPECT_EQ(ListUses(options_, &out_), absl::OkStatus());
  EXPECT_EQ(requests_,
            (std::vector<std::string>{"/v1/uses limit=1000", "/v1/uses limit=1000 pageToken=n"}));
  const std::string text = out_.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
}

TEST_F(CommandsTest, UsesAsATable) {
  answers_ = {std::string(R"({"uses":[)") + kUse + R"(],"nextPageToken":""})"};
  EXPECT_EQ(ListUses(options_, &out_), absl::OkStatus());
  const std::string text = out_.str();
  for (const char* part : {"2026-01-02 03:04:05.678Z", "tok_35602yf42tr1pnyk1wrynxw9gd",
                           "https://api.test/v1", "[::1]:443?", "/usr/bin/curl"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
}

TEST_F(CommandsTest, NothingFoundIsSaidApartFromTheOutput) {
  answers_ = {R"({"tokens":[],"nextPageToken":""})"};
  const absl::Status status = ListTokens(options_, &out_);
  EXPECT_EQ(status, absl::NotFoundError("no token was found"));
  EXPECT_EQ(out_.str(), "");
  options_.output.form = "csv";
  EXPECT_TRUE(absl::IsNotFound(ListTokens(options_, &out_)));
  EXPECT_EQ(out_.str().substr(0, 13), "TOKEN,FORMAT,");
}

TEST_F(CommandsTest, TheServersWordsReachThePerson) {
  answers_ = {R"({"code":"invalid_argument","message":"since: write 24h"})"};
  status_ = 400;
  EXPECT_EQ(ListTokens(options_, &out_), absl::InvalidArgumentError("since: write 24h"));
  status_ = 503;
  EXPECT_EQ(ListTokens(options_, &out_), absl::UnavailableError("since: write 24h"));
}

TEST_F(CommandsTest, AnythingElseThanOurServerIsUnreachable) {
  answers_ = {"<html>"};
  EXPECT_TRUE(absl::IsUnavailable(ListTokens(options_, &out_)));
  server_.reset();
  const absl::Status status = ListTokens(options_, &out_);
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_NE(status.message().find(options_.server), std::string::npos) << status;
}

TEST_F(CommandsTest, MembersOfAnotherTypeReadAsEmpty) {
  for (const char* answer :
       {R"({"agents":[1,null,[],{"gaps":{"a":1},"host":[1]}]})", R"({"agents":[{"gaps":[1,{}]}]})",
        R"({"agents":[{"gaps":[{"kind":{"a":1}}],"keyIds":"x"}],"nextPageToken":{}})"}) {
    requests_.clear();
    answers_ = {answer};
    EXPECT_EQ(ListAgents(options_, &out_), absl::OkStatus()) << answer;
  }
  for (const char* answer : {"{}", R"({"token":1,"usage":{"a":1}})", R"({"usage":["x"]})"}) {
    requests_.clear();
    answers_ = {answer};
    EXPECT_EQ(ShowToken(options_, "tok_x", &out_), absl::OkStatus()) << answer;
  }
}

TEST_F(CommandsTest, ProxiesOfTheEnvironmentAreNotUsed) {
  answers_ = {std::string(R"({"uses":[)") + kUse + "]}"};
  for (const char* name : {"http_proxy", "all_proxy"}) setenv(name, "http://127.0.0.1:1", 1);
  EXPECT_EQ(ListUses(options_, &out_), absl::OkStatus());
  for (const char* name : {"http_proxy", "all_proxy"}) unsetenv(name);
}

class TailTest : public CommandsTest {
 protected:
  void SetUp() override {
    CommandsTest::SetUp();
    options_.output.form = "json";
    options_.filters.limit = 0;
    tail_.pause = absl::ZeroDuration();
  }
  TailOptions tail_;
};

TEST_F(TailTest, GoesOnWhereTheLastAnswerEnded) {
  answers_ = {R"({"uses":[],"nextPageToken":"5"})",
              std::string(R"({"uses":[)") + kUse + R"(],"nextPageToken":"6"})",
              R"({"uses":[{"tokenId":"t2","sequence":8}],"nextPageToken":"7"})"};
  tail_.looks = 3;
  EXPECT_EQ(TailUses(options_, tail_, &out_), absl::OkStatus());
  EXPECT_EQ(requests_, (std::vector<std::string>{"/v1/uses/tail limit=1000",
                                                 "/v1/uses/tail limit=1000 pageToken=5",
                                                 "/v1/uses/tail limit=1000 pageToken=6"}));
  EXPECT_EQ(out_.str(), std::string(kUse) + "\n" + R"({"tokenId":"t2","sequence":8})" + "\n");
}

TEST_F(TailTest, ThePastComesFirstAndIsNotRepeated) {
  const std::string early = R"({"agent":"a","sequence":1})";
  const std::string late = R"({"agent":"a","sequence":2})";  // committed between the two questions
  const std::string next = R"({"agent":"a","sequence":3})";
  answers_ = {R"({"uses":[],"nextPageToken":"5"})",
              R"({"uses":[)" + late + "," + early + R"(],"nextPageToken":""})",
              R"({"uses":[)" + late + "," + next + R"(],"nextPageToken":"7"})"};
  options_.filters.since = "1h";
  tail_.looks = 2;
  EXPECT_EQ(TailUses(options_, tail_, &out_), absl::OkStatus());
  EXPECT_EQ(requests_[1], "/v1/uses limit=1000 since=1h");
  EXPECT_EQ(out_.str(), early + "\n" + late + "\n" + next + "\n");
}

TEST_F(TailTest, LeavesAfterTheLimit) {
  answers_ = {R"({"uses":[],"nextPageToken":"5"})",
              R"({"uses":[{"sequence":1},{"sequence":2},{"sequence":3}],"nextPageToken":"8"})"};
  options_.filters.limit = 2;
  EXPECT_EQ(TailUses(options_, tail_, &out_), absl::OkStatus());
  EXPECT_EQ(out_.str(), "{\"sequence\":1}\n{\"sequence\":2}\n");
}

TEST_F(TailTest, AServerThatWasNeverReachedIsNotWaitedFor) {
  answers_ = {"{}"};
  server_.reset();
  EXPECT_TRUE(absl::IsUnavailable(TailUses(options_, tail_, &out_)));
}

TEST_F(TailTest, AServerThatGoesAwayIsWaitedForAndNamedOnce) {
  answers_ = {R"({"uses":[],"nextPageToken":"5"})", "{}", "{}",
              R"({"uses":[{"sequence":9}],"nextPageToken":"6"})"};
  std::vector<std::string> notices;
  tail_.notice = [&notices](const std::string& notice) { notices.push_back(notice); };
  options_.filters.limit = 1;
  EXPECT_EQ(TailUses(options_, tail_, &out_), absl::OkStatus());
  EXPECT_EQ(out_.str(), "{\"sequence\":9}\n");
  EXPECT_EQ(notices.size(), 1U);
  EXPECT_EQ(requests_.size(), 4U);
  // A failed look keeps its place.
  requests_.clear();
  out_.str("");
  answers_ = {R"({"uses":[],"nextPageToken":"5"})", "{}"};
  tail_.patience = absl::ZeroDuration();
  EXPECT_TRUE(absl::IsUnavailable(TailUses(options_, tail_, &out_)));
}

}  // namespace
}  // namespace tokenwatch
