// The commands against a server that answers as the collector does.
#include "collector/cli/commands.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "agent/common/exit_status.h"
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
      response.body = answers_.size() > 1 ? answers_[requests_.size() - 1] : answers_[0];
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
  options_.output = "json";
  options_.filters.since = "24h";
  options_.filters.endpoint = "GET api.test/*";
  options_.filters.limit = 5;
  const absl::StatusOr<int> status = ListUses(options_, out_);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(*status, kExitOk);
  ASSERT_EQ(requests_.size(), 2u);
  EXPECT_EQ(requests_[0], "/v1/uses since=24h endpoint=GET api.test/* limit=5");
  EXPECT_EQ(requests_[1], "/v1/uses since=24h endpoint=GET api.test/* limit=4 pageToken=n");
  EXPECT_EQ(out_.str(), std::string(kUse) + "\n" + kUse + "\n");
}

TEST_F(CommandsTest, UsesAsATable) {
  answers_ = {std::string(R"({"uses":[)") + kUse + R"(],"nextPageToken":""})"};
  ASSERT_TRUE(ListUses(options_, out_).ok());
  const std::string text = out_.str();
  for (const char* part : {"2026-01-02 03:04:05.678", "tok_35602yf42tr1pnyk1wrynxw9gd",
                           "https://api.test/v1", "[::1]:443?", "/usr/bin/curl"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
}

TEST_F(CommandsTest, NothingFoundIsOne) {
  answers_ = {R"({"tokens":[],"nextPageToken":""})"};
  const absl::StatusOr<int> status = ListTokens(options_, out_);
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(*status, kExitNothing);
}

TEST_F(CommandsTest, TheServersWordsReachThePerson) {
  answers_ = {R"({"code":"invalid_argument","message":"since: write 24h"})"};
  status_ = 400;
  const absl::StatusOr<int> status = ListTokens(options_, out_);
  EXPECT_TRUE(absl::IsInvalidArgument(status.status()));
  EXPECT_EQ(status.status().message(), "since: write 24h");
}

TEST_F(CommandsTest, AnythingElseThanOurServerIsUnreachable) {
  answers_ = {"<html>"};
  EXPECT_TRUE(absl::IsUnavailable(ListTokens(options_, out_).status()));
  server_.reset();
  EXPECT_TRUE(absl::IsUnavailable(ListTokens(options_, out_).status()));
}

TEST_F(CommandsTest, TailShowsEachUseOnce) {
  const std::string other = R"({"tokenId":"t2","sequence":8})";
  answers_ = {std::string(R"({"uses":[)") + kUse + "]}",
              std::string(R"({"uses":[)") + other + "," + kUse + "]}"};
  options_.output = "json";
  ASSERT_TRUE(TailUses(options_, 2, out_).ok());
  EXPECT_EQ(out_.str(), std::string(kUse) + "\n" + other + "\n");
}

TEST_F(CommandsTest, WhoAsksWithTheIdOnly) {
  std::string key_path = testing::TempDir() + "cli_key.XXXXXX";
  const int key_fd = mkstemp(key_path.data());
  // The design's test vector.
  for (int i = 0; i < 32; ++i) dprintf(key_fd, "%02x", i);
  close(key_fd);
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  ASSERT_GT(write(pipe_fds[1], "Bearer example-secret\n", 22), 0);
  close(pipe_fds[1]);
  answers_ = {R"({"code":"not_found","message":"never seen"})"};
  status_ = 404;
  WhoOptions who;
  who.key_file = key_path;
  const absl::StatusOr<int> status = Who(options_, who, pipe_fds[0], out_);
  close(pipe_fds[0]);
  unlink(key_path.c_str());
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(*status, kExitNothing);
  ASSERT_EQ(requests_.size(), 1u);
  EXPECT_EQ(requests_[0], "/v1/tokens/tok_35602yf42tr1pnyk1wrynxw9gd");
  EXPECT_EQ(out_.str(), "tok_35602yf42tr1pnyk1wrynxw9gd\nnever seen\n");
}

TEST_F(CommandsTest, WhoNeedsAKeyOrAnAgent) {
  answers_ = {"{}"};
  EXPECT_TRUE(absl::IsInvalidArgument(Who(options_, {}, -1, out_).status()));
  EXPECT_TRUE(requests_.empty());
}

}  // namespace
}  // namespace tokenwatch
