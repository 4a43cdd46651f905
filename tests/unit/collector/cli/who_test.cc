#include "collector/cli/who.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <sstream>
#include <thread>

#include "absl/strings/escaping.h"
#include "agent/common/http_server.h"
#include "agent/token/carriers/extract.h"

namespace tokenwatch {
namespace {

// The design's test vector.
constexpr char kSecret[] = "example-secret";
constexpr char kTokenId[] = "tok_35602yf42tr1pnyk1wrynxw9gd";
constexpr char kKeyId[] = "key_862n1q9x";

class WhoTest : public testing::Test {
 protected:
  WhoTest() : key_path_(testing::TempDir() + "cli_key.XXXXXX") {
    const int key_fd = mkstemp(key_path_.data());
    for (int i = 0; i < 32; ++i) dprintf(key_fd, "%02x", i);
    close(key_fd);
    who_.key_file = key_path_;
    options_.output.form = "json";
    collector_ = Serve("127.0.0.1:0", [this](const HttpRequest& request) {
      if (request.target.path == "/v1/agents") return agents_;
      asked_.push_back(request.method + " " + request.target.path + std::string(request.body));
      return answer_;
    });
    options_.server.url = "http://" + collector_->ListenAddress().ToString();
  }
  ~WhoTest() override { unlink(key_path_.c_str()); }

  static std::unique_ptr<HttpServer> Serve(const std::string& address,
                                           HttpServer::Handler handler) {
    absl::StatusOr<std::unique_ptr<HttpServer>> server =
        HttpServer::Create(*ParseAddress(address), {.body_bytes = kSecretMax}, std::move(handler));
    EXPECT_TRUE(server.ok()) << server.status();
    return *std::move(server);
  }

  // Runs the command with `input` on its standard input.
  absl::Status Ask(const std::string& input) {
    std::string path = testing::TempDir() + "cli_input.XXXXXX";
    const int fd = mkstemp(path.data());
    unlink(path.c_str());
    EXPECT_EQ(write(fd, input.data(), input.size()), static_cast<ssize_t>(input.size()));
    lseek(fd, 0, SEEK_SET);
    out_.str("");
    const absl::Status status = Who(options_, who_, fd, &out_);
    close(fd);
    return status;
  }

  std::string key_path_;
  CliOptions options_;
  WhoOptions who_;
  HttpResponse answer_ = HttpError(404, "not_found", "never seen");
  HttpResponse agents_ = {.body = R"({"agents":[{"keyIds":["key_862n1q9x"]}]})"};
  std::vector<std::string> asked_;
  std::unique_ptr<HttpServer> collector_;
  std::ostringstream out_;
};

TEST_F(WhoTest, OneSecretHasOneIdHoweverItIsPasted) {
  const std::string secret = kSecret;
  for (const std::string& pasted :
       {secret, secret + "\n", secret + "\r\n", "Bearer " + secret, "  " + secret + "  \n",
        "\"" + secret + "\"", "Token " + secret + "\n"}) {
    asked_.clear();
    EXPECT_EQ(Ask(pasted), absl::NotFoundError("this token was never seen")) << pasted;
    EXPECT_EQ(asked_, (std::vector<std::string>{std::string("GET /v1/tokens/") + kTokenId}));
    EXPECT_EQ(out_.str(), std::string("{\"tokenId\":\"") + kTokenId + "\",\"keyId\":\"" + kKeyId +
                              "\",\"uses\":0}\n");
  }
}

TEST_F(WhoTest, WhatOfALongerInputWasLookedUpIsSaid) {
  std::vector<std::string> notices;
  who_.notice = [&notices](const std::string& notice) { notices.push_back(notice); };
  const std::string secret = kSecret;
  for (const std::string& pasted :
       {"Authorization: Bearer " + secret, "x-api-key: " + secret, "export KEY=\"" + secret + "\"",
        "Basic " + absl::Base64Escape("user:" + secret)}) {
    asked_.clear();
    EXPECT_TRUE(absl::IsNotFound(Ask(pasted))) << pasted;
    EXPECT_EQ(asked_.front(), std::string("GET /v1/tokens/") + kTokenId) << pasted;
  }
  EXPECT_EQ(notices, (std::vector<std::string>{"looked up the secret in authorization/bearer",
                                               "looked up the secret in header/x-api-key",
                                               "looked up the value of KEY",
                                               "looked up the secret in authorization/basic"}));
}

TEST_F(WhoTest, UserAndPasswordAreNoToken) {
  const std::string secret = kSecret;
  for (const std::string& pasted :
       std::vector<std::string>{"alice:" + secret, ":" + secret + "\n", "a.b-c@d.example:x:y",
                                "\"alice:" + secret + "\""}) {
    asked_.clear();
    const absl::Status status = Ask(pasted);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << pasted << " " << status;
    EXPECT_NE(status.message().find("user:password"), std::string::npos) << status;
    EXPECT_EQ(status.message().find(secret), std::string::npos) << status;
    EXPECT_TRUE(asked_.empty()) << "nothing is looked up";
    EXPECT_EQ(out_.str(), "");
  }
  // What is a token for certain: by its format, or since the person says so.
  for (const std::string& pasted :
       std::vector<std::string>{"123456789:AA" + std::string(33, 'x'), "TOKEN=alice:" + secret,
                                "Bearer alice:" + secret, "two words:x", secret + ":"}) {
    EXPECT_EQ(std::string(Ask(pasted).message()).find("user:password"), std::string::npos)
        << pasted;
  }
}

TEST_F(WhoTest, ASeenTokenShowsWhereItIsUsed) {
  answer_ = {.body = R"({"token":{"tokenId":"tok_x"},"usage":[{"exe":"/usr/bin/curl"}]})"};
  EXPECT_EQ(Ask(kSecret), absl::OkStatus());
  EXPECT_EQ(out_.str(), answer_.body + "\n");
  options_.output.form = "table";
  EXPECT_EQ(Ask(kSecret), absl::OkStatus());
  EXPECT_NE(out_.str().find("tok_x"), std::string::npos);
  EXPECT_NE(out_.str().find("/usr/bin/curl"), std::string::npos);
}

TEST_F(WhoTest, TheIdIsPrintedWithoutACollectorToo) {
  collector_.reset();
  EXPECT_TRUE(absl::IsUnavailable(Ask(kSecret)));
  EXPECT_NE(out_.str().find(kTokenId), std::string::npos);
}

TEST_F(WhoTest, TheLocalAgentMayComputeTheIds) {
  const std::string path = testing::TempDir() + "who_test.sock";
  std::string body;
  const std::unique_ptr<HttpServer> agent = Serve("unix:" + path, [&](const HttpRequest& request) {
    body = request.method + " " + request.target.path + " " + std::string(request.body);
    return HttpResponse{.body = R"({"ids":[{"keyId":"key_new","tokenId":"tok_new"},)"
                                R"({"keyId":"key_old","tokenId":"tok_old"}]})"};
  });
  who_ = {.agent = "unix:" + path};
  agents_.body = R"({"agents":[{"keyIds":["key_new"]}]})";
  EXPECT_TRUE(absl::IsNotFound(Ask(std::string("Bearer ") + kSecret + "\n")));
  EXPECT_EQ(body, std::string("POST /v1/fingerprint ") + kSecret);
  EXPECT_EQ(asked_, (std::vector<std::string>{"GET /v1/tokens/tok_new", "GET /v1/tokens/tok_old"}));
  EXPECT_NE(out_.str().find("tok_new"), std::string::npos);
  EXPECT_NE(out_.str().find("tok_old"), std::string::npos);
}

TEST_F(WhoTest, AKeyThatNoAgentUsesIsNoAllClear) {
  struct Case {
    std::string agents, message;
  };
  const Case cases[] = {
      {R"({"agents":[{"keyIds":["key_b","key_a"]},{"keyIds":["key_b"]}]})",
       "no agent reports under key_862n1q9x; agents use key_a, key_b: ask with that key, as under "
       "another nothing can be found"},
      {R"({"agents":[{"keyIds":["key_old","key_862n1q9x"]}]})", "this token was never seen"},
      {R"({"agents":[]})", "this token was never seen, and no agent has reported yet"},
      {R"({"agents":[{"keyIds":{"a":1}},{"keyIds":[1]}]})",
       "this token was never seen, and no agent has reported yet"},
      {"[]", "this token was never seen"},
  };
  for (const Case& c : cases) {
    agents_.body = c.agents;
    EXPECT_EQ(Ask(kSecret), absl::NotFoundError(c.message)) << c.agents;
    EXPECT_NE(out_.str().find(kTokenId), std::string::npos);
  }
}

TEST_F(WhoTest, ATerminalDoesNotShowTheSecret) {
  int terminal = -1, program = -1;
  ASSERT_EQ(openpty(&terminal, &program, nullptr, nullptr, nullptr), 0);
  // TCSAFLUSH drops what was typed before; so type once echo is off, as a person would.
  const std::string typed = std::string(kSecret) + "\n";
  testing::internal::CaptureStderr();
  std::thread typist([&] {
    termios state{};
    do {
      std::this_thread::yield();
      tcgetattr(program, &state);
    } while ((state.c_lflag & ECHO) != 0);
    EXPECT_EQ(write(terminal, typed.data(), typed.size()), static_cast<ssize_t>(typed.size()));
  });
  EXPECT_TRUE(absl::IsNotFound(Who(options_, who_, program, &out_)));
  typist.join();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "secret (not shown): \n");
  termios after{};
  tcgetattr(program, &after);
  EXPECT_NE(after.c_lflag & ECHO, 0U) << "echo is on again";
  fcntl(terminal, F_SETFL, O_NONBLOCK);
  char shown[256];
  const ssize_t got = read(terminal, shown, sizeof shown);
  EXPECT_EQ(std::string(shown, got > 0 ? static_cast<size_t>(got) : 0).find(kSecret),
            std::string::npos);
  close(terminal);
  close(program);
}

TEST_F(WhoTest, MistakesAreNamedBeforeAnythingIsSent) {
  const WhoOptions good = who_;
  const auto expect = [&](const WhoOptions& who, const std::string& input,
                          const std::string& message) {
    who_ = who;
    const absl::Status status = Ask(input);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_NE(status.message().find(message), std::string::npos) << status;
    EXPECT_EQ(status.message().find(kSecret), std::string::npos) << status;
  };
  expect({}, kSecret, "who needs either --agent unix:PATH");
  expect({.agent = "unix:/x", .key_file = "/y"}, kSecret, "who needs either");
  expect({.agent = "http://example.com"}, kSecret, "--agent takes unix:PATH");
  expect({.key_file = "/nonexistent/fleet.key"}, kSecret, "/nonexistent/fleet.key");
  expect(good, "", "standard input is empty");
  expect(good, " \n", "standard input is empty");
  expect(good, std::string(kSecretMax + 3, 'x'), "too long for a secret");
  expect(good, std::string("X-Other: ") + kSecret, "a blank");
  expect(good, std::string(kSecret) + "\n" + kSecret, "a line end");
  EXPECT_TRUE(asked_.empty());
}

}  // namespace
}  // namespace tokenwatch
