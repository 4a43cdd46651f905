// `agents --coverage` against the collector's own interface on a real store, and a hostile server.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "agent/common/http_server.h"
#include "collector/api/http_api.h"
#include "collector/cli/commands.h"
#include "collector/cli/dark_reasons.h"
#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch {
namespace {

using ::tokenwatch::testing::kHour;
using ::tokenwatch::testing::kNow;
using ::tokenwatch::testing::kSecond;

TlsCoverageRow Row(const std::string& comm, const std::string& reason, uint64_t connections) {
  return {.reason = reason,
          .comm = comm,
          .exe = comm.empty() ? "" : "/bin/" + comm,
          .connections = connections,
          .since_us = kNow - kSecond,
          .until_us = kNow,
          .pid = 7};
}

class CoverageTest : public ::testing::Test {
 protected:
  CoverageTest() {
    absl::StatusOr<std::unique_ptr<HttpServer>> server =
        HttpServer::Create(*ParseAddress("127.0.0.1:0"), {}, [this](const HttpRequest& request) {
          if (answer_.empty()) return api_.Handle(request);
          HttpResponse response;
          response.body = answer_;
          return response;
        });
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    api_.SetReady(&queries_);
    options_.server.url = "http://" + server_->ListenAddress().ToString();
  }

  void Agent(const std::string& name) {
    AgentInfo info;
    info.agent = "agt_" + name;
    info.host = "host-" + name;
    ASSERT_TRUE(store_.store().RecordAgent(info).ok());
  }

  void Add(const std::string& agent, std::vector<TlsCoverageRow> rows) {
    Agent(agent);
    IngestBatch batch = tokenwatch::testing::Batch(agent, 1, 1, {});
    batch.tls_coverage = std::move(rows);
    ASSERT_TRUE(store_.store().Commit({batch}).ok());
  }

  std::string Print(const std::string& form, uint32_t limit = 100) {
    options_.output.form = form;
    options_.filters.limit = limit;
    std::ostringstream out;
    EXPECT_EQ(ListCoverage(options_, &out), absl::OkStatus());
    return out.str();
  }

  tokenwatch::testing::StoreFixture store_;
  Queries queries_{&store_.store(), [](const std::string&) { return false; }};
  HttpApi api_{HttpApi::Options()};
  std::string answer_;  // in place of the collector's
  std::unique_ptr<HttpServer> server_;
  CliOptions options_;
};

TEST_F(CoverageTest, TheMostDarkOfTheFleetComesFirst) {
  TlsCoverageRow pod = Row("app", "go", 5);
  pod.container_id = std::string(64, 'c');
  pod.pod = "web-0";
  pod.namespace_name = "shop";
  TlsCoverageRow container = Row("git", "gnutls", 1);
  container.container_id = "0123456789abcdef";
  TlsCoverageRow unit = Row("sync", "", 90);
  unit.unit = "sync.service";
  Add("a", {unit, pod, Row("java", "java", 2), Row("java", "attached_late", 6)});
  Add("b", {container, Row("", "unknown", 3)});
  Agent("c");
  EXPECT_EQ(
      Print("table"),
      "MACHINE  PROGRAM   EXECUTABLE  WHERE         CONNECTIONS  SEEN  DARK  LAST SEEN"
      "                 WHY DARK\n"
      "host-a   java      /bin/java                           8     0     8  2026-11-22 "
      "10:30:00.000Z  the connection began before its library was watched: 6; Java's TLS is not "
      "read: 2\n"
      "host-a   app       /bin/app    shop/web-0              5     0     5  2026-11-22 "
      "10:30:00.000Z  Go's crypto/tls is not read\n"
      "host-b   (others)                                      3     0     3  2026-11-22 "
      "10:30:00.000Z  the reason is not known\n"
      "host-b   git       /bin/git    0123456789ab            1     0     1  2026-11-22 "
      "10:30:00.000Z  GnuTLS is not read\n"
      "host-a   sync      /bin/sync   sync.service           90    90     0  2026-11-22 "
      "10:30:00.000Z\n"
      "\n"
      "Of 107 TLS connections that 2 of 3 agents saw begin, the plaintext of 90 (84.1 %) was seen "
      "and 17 were dark.\n");
  const std::string json = Print("json");
  EXPECT_EQ(std::count(json.begin(), json.end(), '\n'), 5) << "one object a line";
  std::istringstream lines(json);
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line,
            R"({"agent":"agt_a","host":"host-a","comm":"java","exe":"/bin/java","containerId":"",)"
            R"("pod":"","namespace":"","unit":"","tlsConnections":8,"plaintextSeen":0,"dark":8,)"
            R"("reasons":[{"reason":"attached_late","connections":6},)"
            R"({"reason":"java","connections":2}],"firstSeen":"2026-11-22T10:29:59.000000Z",)"
            R"("lastSeen":"2026-11-22T10:30:00.000000Z","pid":7})");
  const std::string csv = Print("csv", 2);
  EXPECT_EQ(csv,
            "AGENT,MACHINE,PROGRAM,EXECUTABLE,LAST PID,CONTAINER,POD,NAMESPACE,UNIT,CONNECTIONS,"
            "SEEN,DARK,FIRST SEEN,LAST SEEN,WHY DARK\r\n"
            "agt_a,host-a,java,/bin/java,7,,,,,8,0,8,2026-11-22 10:29:59.000Z,"
            "2026-11-22 10:30:00.000Z,the connection began before its library was watched: 6; "
            "Java's TLS is not read: 2\r\n"
            "agt_a,host-a,app,/bin/app,7," +
                std::string(64, 'c') +
                ",web-0,shop,,5,0,5,2026-11-22 10:29:59.000Z,2026-11-22 10:30:00.000Z,"
                "Go's crypto/tls is not read\r\n");
}

TEST_F(CoverageTest, TheLimitIsOfProgramsAndTheSentenceOfAll) {
  // More agents than a page holds.
  for (int i = 0; i < 120; ++i) {
    Add(std::to_string(i), {Row("app", i == 7 ? "go" : "", i == 7 ? 2 : 9)});
  }
  const std::string text = Print("table", 3);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1 + 3 + 1 + 2) << text;
  EXPECT_EQ(text.find("host-7 "), text.find('\n') + 1) << "the most dark of all pages";
  EXPECT_NE(text.find("\nShown are 3 of 120 kinds of programs; --limit 0 shows all.\n"
                      "Of 1073 TLS connections that 120 of 120 agents saw begin, the plaintext of "
                      "1071 (99.8 %) was seen and 2 were dark.\n"),
            std::string::npos)
      << text;
  const std::string all = Print("json", 0);
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 120);
}

TEST_F(CoverageTest, WhatIsNotAllIsNotAHundredPercent) {
  Add("a", {Row("app", "", 99999), Row("app", "go", 1)});
  EXPECT_NE(Print("table").find("Of 100000 TLS connections that 1 of 1 agent saw begin, the "
                                "plaintext of 99999 (99.9 %) was seen and 1 was dark."),
            std::string::npos);
}

TEST_F(CoverageTest, FiltersChooseMachinesAndTimes) {
  store_.SetNow(kNow + 3 * kHour);
  Add("a", {Row("app", "go", 1)});
  Add("b", {Row("app", "go", 2)});
  options_.filters.host = "host-b";
  EXPECT_NE(Print("table").find("Of 2 TLS connections that 1 of 1 agent saw"), std::string::npos);
  options_.filters.since = "1h";
  std::ostringstream out;
  EXPECT_EQ(ListCoverage(options_, &out),
            absl::NotFoundError("no agent has seen a TLS connection begin"));
  EXPECT_EQ(out.str(), "");
  options_.filters.since = "yesterday";
  EXPECT_TRUE(absl::IsInvalidArgument(ListCoverage(options_, &out)));
}

TEST_F(CoverageTest, NothingIsSaidApartFromTheOutput) {
  std::ostringstream out;
  EXPECT_EQ(ListCoverage(options_, &out), absl::NotFoundError("no agent was found"));
  Agent("a");
  EXPECT_EQ(ListCoverage(options_, &out),
            absl::NotFoundError("no agent has seen a TLS connection begin"));
  EXPECT_EQ(out.str(), "");
  options_.output.form = "csv";
  EXPECT_TRUE(absl::IsNotFound(ListCoverage(options_, &out)));
  EXPECT_EQ(out.str().substr(0, 14), "AGENT,MACHINE,");
  server_.reset();
  EXPECT_TRUE(absl::IsUnavailable(ListCoverage(options_, &out)));
}

TEST_F(CoverageTest, HostileTextIsNeutralised) {
  TlsCoverageRow row = Row("=cmd\x1b[31m", "go", 1);
  row.unit = "a\nb";
  row.pod = "\xe2\x80\xae";
  Add("a", {row});
  for (const char* form : {"table", "json", "csv"}) {
    const std::string text = Print(form);
    EXPECT_EQ(text.find('\x1b'), std::string::npos) << form;
    EXPECT_EQ(text.find("a\nb"), std::string::npos) << form;
    EXPECT_EQ(text.find("\xe2\x80\xae"), std::string::npos) << form;
  }
  EXPECT_NE(Print("csv").find(",'=cmd\\u{1b}[31m,"), std::string::npos);
}

TEST_F(CoverageTest, MembersOfAnotherTypeReadAsEmpty) {
  for (const char* answer :
       {R"({"agents":[1,null,{"coverage":1}],"coverage":[1,{}]})",
        R"({"agents":[{"coverage":{"tlsConnections":"x","dark":-1}}],"coverage":[{"dark":"x"}]})",
        R"({"agents":[{}],"coverage":[{"reasons":1},{"reasons":[1,{"reason":2}]}]})"}) {
    answer_ = answer;
    for (const char* form : {"table", "json", "csv"}) EXPECT_NE(Print(form), "") << answer;
  }
  answer_ = R"({"agents":[{"coverage":{"tlsConnections":1,"plaintextSeen":5}}]})";
  EXPECT_NE(Print("table").find("5 (100.0 %)"), std::string::npos);
}

TEST(DarkReasonsTest, EachReasonHasOneMeaning) {
  std::set<std::string_view> reasons, meanings;
  for (const DarkReason& row : DarkReasons()) {
    EXPECT_TRUE(reasons.insert(row.reason).second) << row.reason;
    EXPECT_TRUE(meanings.insert(row.meaning).second) << row.meaning;
    EXPECT_EQ(DarkMeaning(std::string(row.reason)), row.meaning);
  }
  for (const char* reason : {"no_known_library", "stripped", "go", "java", "gnutls", "nss",
                             "rustls", "quic", "attached_late", "unmatched", "unknown"}) {
    EXPECT_TRUE(reasons.contains(reason)) << reason;
  }
  EXPECT_EQ(DarkMeaning("moon_tls"), "moon_tls");
}

}  // namespace
}  // namespace tokenwatch
