// The commands against a server that answers as the collector does.
#include "collector/cli/commands.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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
    options_.server.url = "http://" + server_->ListenAddress().ToString();
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
  EXPECT_NE(status.message().find(options_.server.url), std::string::npos) << status;
}

TEST_F(CommandsTest, AnotherServerIsNoCollector) {
  struct Case {
    int status;
    std::string body;
  };
  const Case cases[] = {
      {404, R"({"code":"unimplemented","message":"there are /healthz, /status and /metrics"})"},
      {404, "<html>not found</html>"},
      {400, "bad"},
      {200, "ok"},
      {200, "[]"},
  };
  for (const Case& c : cases) {
    requests_.clear();
    status_ = c.status;
    answers_ = {c.body};
    EXPECT_EQ(ListTokens(options_, &out_),
              absl::UnavailableError("no tokenwatch collector at " + options_.server.url +
                                     "; its HTTP port is 7480 by default, and with TLS it is "
                                     "named https://, see --server"))
        << c.body;
  }
}

TEST_F(CommandsTest, ASocketThatIsNotThereIsNamed) {
  const std::string path = testing::TempDir() + "commands_test.sock";
  unlink(path.c_str());
  const auto expect = [&](const std::string& server, const std::string& words) {
    const absl::Status status = Client({.url = server}).Post("/v1/fingerprint", "x").status();
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_NE(status.message().find(words), std::string::npos) << status;
    EXPECT_EQ(status.message().find("localhost"), std::string::npos) << status;
  };
  expect("unix:" + path, "there is no such socket");
  expect("unix:/dev/null", "this is no socket");
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_GE(fd, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, sizeof name.sun_path - 1);
  ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  expect("unix:" + path, "nobody listens there");
  close(fd);
  unlink(path.c_str());
  answers_ = {"[]"};
  expect(options_.server.url, "no tokenwatch agent at " + options_.server.url);
}

TEST_F(CommandsTest, TokensNameTheProgramThatUsesThem) {
  answers_ = {R"({"tokens":[{"programs":["/srv/backup.py","/usr/bin/curl"]},)"
              R"({"programs":["/usr/bin/node"]},{"programs":[]},{"programs":[1]}]})"};
  EXPECT_EQ(ListTokens(options_, &out_), absl::OkStatus());
  EXPECT_NE(out_.str().find("backup.py +1"), std::string::npos) << out_.str();
  EXPECT_NE(out_.str().find("node"), std::string::npos) << out_.str();
}

TEST_F(CommandsTest, TokensAreKnownByWhatTheirOwnersCallThem) {
  answers_ = {R"({"tokens":[{"tokenId":"tok_35602yf42tr1pnyk1wrynxw9gd","format":"aws_access_key",)"
              R"("publicId":"AKIA1234","account":"123","issued":1,"lastUsed":)"
              R"("2026-01-02T03:04:05.678901Z"},{"account":"acme","issued":7},)"
              R"({"publicId":"\u001b[2J"}]})"};
  EXPECT_EQ(ListTokens(options_, &out_), absl::OkStatus());
  const std::string text = out_.str();
  for (const char* part : {"AKIA1234", "acme", "\\u{1b}[2J", "2026-01-02 03:04:05Z\n"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
  EXPECT_EQ(text.find("123 "), std::string::npos) << "one of the two";
  out_.str("");
  requests_.clear();
  options_.output.form = "csv";
  EXPECT_EQ(ListTokens(options_, &out_), absl::OkStatus());
  EXPECT_NE(out_.str().find(",CREDENTIAL,ISSUED,PROVIDER,PUBLIC ID,ACCOUNT,OWNER,EXPIRES,"),
            std::string::npos);
  EXPECT_NE(out_.str().find(",1,,AKIA1234,123,,,"), std::string::npos) << out_.str();
}

TEST_F(CommandsTest, ALineOfTokensFitsATerminal) {
  const std::string id(26, '7');
  answers_ = {
      R"({"tokens":[{"tokenId":"tok_)" + id +
      R"(","format":"github_pat_fine_grained","provider":"GitHub Enterprise",)"
      R"("publicId":"AKIA1234567890123456","issued":12,"uses":12345,"denied":12,"failed":3,)"
      R"("lastUsed":"2026-01-02T03:04:05.678901Z","programs":["/srv/a-long-name.py"],)"
      R"("hosts":["api.example.com","uploads.example.com"]}]})"};
  for (const size_t width : {120, 130, 160}) {
    requests_.clear();
    out_.str("");
    options_.output.width = width;
    EXPECT_EQ(ListTokens(options_, &out_), absl::OkStatus());
    std::istringstream lines(out_.str());
    for (std::string line; std::getline(lines, line);) {
      // '…' is three bytes.
      const auto cuts = static_cast<size_t>(std::count(line.begin(), line.end(), '\xe2'));
      EXPECT_LE(line.size() - 2 * cuts, width) << line;
    }
    EXPECT_NE(out_.str().find("tok_" + id), std::string::npos) << "never cut";
    EXPECT_EQ(out_.str().find("FAILED") == std::string::npos, width < 128) << out_.str();
  }
}

TEST_F(CommandsTest, ATokenTellsItsFacts) {
  answers_ = {
      R"({"token":{"tokenId":"tok_x","credentialId":"cred_y","issued":1,"uses":2,)"
      R"("foreignHostUses":2},"usage":[{"exe":"/usr/bin/curl"}],"facts":[{"name":"scope",)"
      R"("values":["repo","evil\u001b"],"firstSeen":"2026-01-02T03:04:05.678901Z",)"
      R"("lastSeen":"2026-01-03T03:04:05.678901Z"}],"unneededScopes":["gist","\u001b[2J"]})",
      R"({"token":{"tokenId":"tok_z","credentialId":"cred_y","issued":42}})",
      R"({"token":{"tokenId":"tok_z","issued":1},"facts":7,"unneededScopes":{"a":1}})"};
  EXPECT_EQ(ShowToken(options_, "tok_x", &out_), absl::OkStatus());
  for (const char* part :
       {"A token of credential cred_y; all of its tokens: tokenwatch token cred_y\n",
        "2 uses; tokenwatch uses --trait foreignHost --token tok_x\n",
        "needed by no call that was seen: gist \\u{1b}[2J\n", "FACT   VALUES",
        "scope  repo evil\\u{1b}  2026-01-02 03:04:05Z  2026-01-03 03:04:05Z", "/usr/bin/curl"}) {
    EXPECT_NE(out_.str().find(part), std::string::npos) << part << " in\n" << out_.str();
  }
  out_.str("");
  EXPECT_EQ(ShowToken(options_, "cred_y", &out_), absl::OkStatus());
  EXPECT_NE(out_.str().find("All 42 tokens that were issued to credential cred_y"),
            std::string::npos)
      << out_.str();
  out_.str("");
  EXPECT_EQ(ShowToken(options_, "tok_z", &out_), absl::OkStatus());
  for (const char* part : {"redential cred", "FACT", "Granted", "foreignHost"}) {
    EXPECT_EQ(out_.str().find(part), std::string::npos) << part << " in\n" << out_.str();
  }
}

TEST_F(CommandsTest, AFactTellsApartWhatHeldEarlier) {
  answers_ = {
      R"({"token":{"tokenId":"tok_x","uses":1},"facts":[{"name":"scope","values":["repo","gist"],)"
      R"("told":[{"value":"repo","firstSeen":"2026-01-02T03:04:05.678901Z",)"
      R"("lastSeen":"2026-01-04T03:04:05.678901Z","earlier":false},)"
      R"({"value":"gist","firstSeen":"2026-01-02T03:04:05.678901Z",)"
      R"("lastSeen":"2026-01-03T03:04:05.678901Z","earlier":true}]}]})"};
  EXPECT_EQ(ShowToken(options_, "tok_x", &out_), absl::OkStatus());
  for (const char* line :
       {"\nscope           repo    2026-01-02 03:04:05Z  2026-01-04 03:04:05Z\n",
        "\nscope, earlier  gist    2026-01-02 03:04:05Z  2026-01-03 03:04:05Z\n"}) {
    EXPECT_NE(out_.str().find(line), std::string::npos) << out_.str();
  }
}

TEST_F(CommandsTest, ATokenAsASpreadsheetIsWholeAsWell) {
  answers_ = {
      R"({"token":{"tokenId":"tok_x","provider":"GitHub","expires":null,"hosts":["a","b"],)"
      R"("uses":2},"facts":[{"name":"scope","told":[)"
      R"({"value":"repo","firstSeen":"2026-01-02T03:04:05.678901Z",)"
      R"("lastSeen":"2026-01-04T03:04:05.678901Z","earlier":false},)"
      R"({"value":"=gist","earlier":true}]},7],"unneededScopes":["user",1],)"
      R"("usage":[{"exe":"/usr/bin/curl","uses":2,"firstUsed":"2026-01-02T03:04:05.678901Z"}]})",
      R"({})"};
  options_.output.form = "csv";
  EXPECT_EQ(ShowToken(options_, "tok_x", &out_), absl::OkStatus());
  const std::string text = out_.str();
  for (const char* part :
       {"KIND,NAME,VALUE,FIRST SEEN,LAST SEEN,MACHINE,EXECUTABLE,", "\r\ntoken,tokenId,tok_x,,,",
        "\r\ntoken,hosts,a b,,,", "\r\ntoken,provider,GitHub,,,",
        "\r\nfact,scope,repo,2026-01-02 03:04:05.678Z,2026-01-04 03:04:05.678Z,",
        "\r\nearlier fact,scope,'=gist,,,", "\r\nunneeded scope,scope,user,,,",
        "\r\nusage,uses,2,2026-01-02 03:04:05.678Z,,,/usr/bin/curl,"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
  EXPECT_EQ(text.find("expires"), std::string::npos) << text;
  std::istringstream lines(text);
  size_t columns = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto commas = static_cast<size_t>(std::count(line.begin(), line.end(), ','));
    if (columns == 0) columns = commas;
    EXPECT_EQ(commas, columns) << line;
  }
  out_.str("");
  EXPECT_EQ(ShowToken(options_, "tok_x", &out_), absl::OkStatus());
  EXPECT_EQ(out_.str().substr(0, 10), "KIND,NAME,");
}

TEST_F(CommandsTest, ATokenThatNobodyUsedSaysSo) {
  answers_ = {R"({"token":{"tokenId":"tok_x","uses":0,"inboundUses":0,"issued":1},"usage":[],)"
              R"("facts":[{"name":"born_from","values":["tok_y"],"told":[{"value":"tok_y"}]}]})",
              R"({"token":{"tokenId":"tok_x","uses":0,"inboundUses":2}})"};
  EXPECT_EQ(ShowToken(options_, "tok_x", &out_), absl::OkStatus());
  EXPECT_NE(out_.str().find("\nNo use of it has been seen; "), std::string::npos) << out_.str();
  EXPECT_NE(out_.str().find("\nborn_from  tok_y"), std::string::npos) << out_.str();
  out_.str("");
  EXPECT_EQ(ShowToken(options_, "tok_x", &out_), absl::OkStatus());
  EXPECT_EQ(out_.str().find("No use of it"), std::string::npos) << out_.str();
}

TEST_F(CommandsTest, AJwtIsKnownByForWhomAndByWhomItWasIssued) {
  const std::string digits(26, '7');
  answers_ = {
      R"({"tokens":[)"
      R"({"issuer":"https://idp.example/t","subject":"system:serviceaccount:a:b"},)"
      R"({"issuer":"https://idp.example","client":"ci","subject":"usr_)" +
      digits +
      R"("},)"
      R"({"issuer":"auth","client":"bot","subject":"bot"},{"issuer":"https://only.example"},)"
      R"({"client":"alone"},{"owner":"42"},{"credentialId":"cred_)" +
      digits +
      R"("},)"
      R"({"provider":"Entra","publicId":"kid","issuer":"https://x"}]})"};
  EXPECT_EQ(ListTokens(options_, &out_), absl::OkStatus());
  for (const char* cell : {" system:serviceaccount:a:b of idp.example/t\n",
                           " ci/usr_77777777 of idp.example\n", " bot of auth\n", " only.example\n",
                           " alone\n", " 42\n", " cred_77777777\n", " kid\n", " Entra "}) {
    EXPECT_NE(out_.str().find(cell), std::string::npos) << cell << " in\n" << out_.str();
  }
}

TEST_F(CommandsTest, UsesTellWhatIsNotableAndAreChosenByIt) {
  answers_ = {
      R"({"uses":[{"tokenId":"tok_x","foreignHost":true,"inQuery":true,"expired":false}]})"};
  options_.filters.trait = "foreignHost";
  options_.filters.limit = 5;
  EXPECT_EQ(ListUses(options_, &out_), absl::OkStatus());
  EXPECT_EQ(requests_[0], "/v1/uses trait=foreignHost limit=5");
  EXPECT_NE(out_.str().find("foreignHost inQuery\n"), std::string::npos) << out_.str();
  EXPECT_EQ(out_.str().find("expired"), std::string::npos);
}

TEST_F(CommandsTest, UsesTellTheUserOfBasicToSpreadsheets) {
  answers_ = {R"({"uses":[{"tokenId":"tok_x","userId":"usr_y","credentialId":"cred_z"},{}]})"};
  options_.filters.user = "usr_y";
  options_.output.form = "csv";
  EXPECT_EQ(ListUses(options_, &out_), absl::OkStatus());
  EXPECT_EQ(requests_[0], "/v1/uses user=usr_y limit=100");
  EXPECT_NE(out_.str().find(",USER ID,CREDENTIAL,"), std::string::npos) << out_.str();
  EXPECT_NE(out_.str().find(",usr_y,cred_z,"), std::string::npos) << out_.str();
}

TEST_F(CommandsTest, EveryKindOfGapHasALine) {
  answers_ = {R"({"agents":[{"agent":"agt_a","host":"web","gapTotals":[)"
              R"({"kind":"agent_stopped","count":1},{"kind":"http2_unseen","count":42}]}]})"};
  EXPECT_EQ(ListAgents(options_, &out_), absl::OkStatus());
  for (const char* part : {"agt_a  agent_stopped      1", "agt_a  http2_unseen      42",
                           "HTTP/2 connections that could not be read"}) {
    EXPECT_NE(out_.str().find(part), std::string::npos) << part << " in\n" << out_.str();
  }
  out_.str("");
  requests_.clear();
  options_.output.form = "csv";
  EXPECT_EQ(ListAgents(options_, &out_), absl::OkStatus());
  EXPECT_EQ(out_.str().find("http2_unseen"), std::string::npos) << "a row an agent";
}

TEST_F(CommandsTest, InboundUsesAreSaidApart) {
  answers_ = {R"({"token":{"tokenId":"tok_x","uses":0,"inboundUses":3},)"
              R"("usage":[{"direction":"inbound","uses":3}]})",
              R"({"token":{"tokenId":"tok_x","uses":2,"inboundUses":1}})",
              R"({"token":{"tokenId":"tok_x","uses":2,"inboundUses":0}})"};
  EXPECT_EQ(ShowToken(options_, "tok_x", &out_), absl::OkStatus());
  EXPECT_NE(out_.str().find("Seen inbound only: 3 uses"), std::string::npos) << out_.str();
  EXPECT_NE(out_.str().find("inbound "), std::string::npos) << out_.str();
  out_.str("");
  EXPECT_EQ(ShowToken(options_, "tok_x", &out_), absl::OkStatus());
  EXPECT_NE(out_.str().find("Seen inbound as well: 1 use "), std::string::npos) << out_.str();
  out_.str("");
  EXPECT_EQ(ShowToken(options_, "tok_x", &out_), absl::OkStatus());
  EXPECT_EQ(out_.str().find("Seen inbound"), std::string::npos) << out_.str();
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
