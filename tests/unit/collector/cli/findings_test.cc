// Findings, owners and policies, as a person reads them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "collector/cli/commands.h"
#include "collector/cli/wrapped.h"
#include "tests/unit/collector/cli/canned_server.h"

namespace tokenwatch {
namespace {

constexpr char kFinding[] =
    R"({"findingId":"fnd_35602yf42tr1pnyk1wrynxw9gd","rule":"new_host","severity":"high",)"
    R"("state":"open","title":"A token went\u001b[2J to a new host",)"
    R"("tokenId":"tok_35602yf42tr1pnyk1wrynxw9gd","credentialId":"","owner":"platform",)"
    R"("contact":"#platform","firstSeen":"2026-11-22T10:11:12.000000Z",)"
    R"("lastSeen":"2026-11-22T10:15:12.000000Z","raised":"2026-11-22T10:11:13.000000Z","uses":7,)"
    R"("evidence":[{"time":"2026-11-22T10:11:12.123456Z","scheme":"https",)"
    R"("host":"paste.example","path":"/x","count":1,"workload":{"exe":"/usr/bin/python3"}}],)"
    R"("normal":"api.github.com only","observed":"7 uses of paste.example",)"
    R"("advice":"Revoke it at GitHub.","confidence":0.934,"historyDays":30.2,"historyUses":3402,)"
    R"("format":"github_pat_classic","provider":"GitHub","workload":"sync.py","suppressedBy":"",)"
    R"("revision":2,"policyRule":"","value":"paste.example","kind":""})";

class FindingsTest : public testing::Test {
 protected:
  FindingsTest() { options_.server.url = server_.Url(); }
  ~FindingsTest() override {
    for (const std::string& path : written_) unlink(path.c_str());
  }
  void ExpectParts(const std::vector<std::string>& parts) {
    size_t from = 0;
    for (const std::string& part : parts) {
      const size_t at = out_.str().find(part, from);
      ASSERT_NE(at, std::string::npos) << part << " is not, or not here, in\n" << out_.str();
      from = at;
    }
  }
  std::string File(const std::string& text) {
    written_.push_back(
        absl::StrCat(testing::TempDir(), "/policy-", getpid(), "-", written_.size()));
    std::ofstream(written_.back()) << text;
    return written_.back();
  }

  CannedServer server_;
  CliOptions options_;
  std::ostringstream out_, errors_;
  std::vector<std::string> written_;
};

TEST_F(FindingsTest, AreListedByTheFilters) {
  server_.Answer({absl::StrCat(R"({"findings":[)", kFinding, R"(],"nextPageToken":""})")});
  options_.filters = {.since = "1h",
                      .token = "tok_x",
                      .host = "web-1",
                      .provider = "GitHub",
                      .workload = "sync.py",
                      .owner = "platform",
                      .rule = "new_host",
                      .severity = "high",
                      .state = "open",
                      .limit = 5};
  EXPECT_EQ(ListFindings(options_, &out_), absl::OkStatus());
  EXPECT_EQ(server_.Requests(),
            std::vector<std::string>{
                "/v1/findings since=1h token=tok_x host=web-1 provider=GitHub workload=sync.py "
                "owner=platform rule=new_host severity=high state=open limit=5"});
  ExpectParts({"FINDING", "SEVERITY", "STATE", "LAST SEEN", "RULE", "OWNER", "USES", "TITLE",
               "fnd_35602yf42tr1pnyk1wrynxw9gd", "high", "open", "2026-11-22 10:15:12Z", "new_host",
               "tok_35602yf42tr1pnyk1wrynxw9gd", "platform", "7", "A token went\\u{1b}[2J"});
  out_.str("");
  options_.output.form = "csv";
  EXPECT_EQ(ListFindings(options_, &out_), absl::OkStatus());
  ExpectParts({"TITLE,STATE,WORKLOAD,", ",open,sync.py,", ",0.934,30.2,3402,"});
}

TEST_F(FindingsTest, ANarrowTerminalCutsNoId) {
  server_.Answer({absl::StrCat(R"({"findings":[)", kFinding, R"(],"nextPageToken":""})")});
  for (const size_t width : {80, 100, 120, 160, 200}) {
    options_.output.width = width;
    out_.str("");
    EXPECT_EQ(ListFindings(options_, &out_), absl::OkStatus());
    ExpectParts({"FINDING", "SEVERITY", "STATE", "TITLE", "fnd_35602yf42tr1pnyk1wrynxw9gd", "high",
                 "open", "A token went\\u{1b}"});
    const std::string text = out_.str();
    EXPECT_EQ(text.find("TOKEN") != std::string::npos,
              text.find("tok_35602yf42tr1pnyk1wrynxw9gd") != std::string::npos);
    size_t longest = 0;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) longest = std::max(longest, line.size());
    EXPECT_LE(longest, width + 2) << "an ellipsis takes three bytes\n" << text;
  }
}

TEST_F(FindingsTest, NoneIsSaidApart) {
  server_.Answer({R"({"findings":[],"nextPageToken":""})"});
  EXPECT_EQ(ListFindings(options_, &out_), absl::NotFoundError("no finding was found"));
}

TEST_F(FindingsTest, OneSaysWhatToDoFirst) {
  server_.Answer({kFinding});
  EXPECT_EQ(ShowFinding(options_, "fnd_/x", &out_), absl::OkStatus());
  EXPECT_EQ(server_.Requests()[0], "/v1/findings/fnd_/x") << "the slash was escaped on the wire";
  ExpectParts({"HIGH, open: A token went\\u{1b}[2J to a new host\n",
               "To do         Revoke it at GitHub.\n", "Seen          7 uses of paste.example\n",
               "Normal        api.github.com only\n",
               "Rests on      30 days of history, 3402 uses; confidence 93 %\n",
               "When          2026-11-22 10:11:12Z to 2026-11-22 10:15:12Z, 7 uses; raised "
               "2026-11-22 10:11:13Z, told 2 times\n",
               "Token         tok_35602yf42tr1pnyk1wrynxw9gd (github_pat_classic, of GitHub)\n",
               "Owner         platform (#platform)\n", "Rule          new_host\n",
               "Evidence, the first and the newest of 7 uses\n", "https://paste.example/x",
               "More: tokenwatch token tok_35602yf42tr1pnyk1wrynxw9gd\n"});
  EXPECT_EQ(out_.str().find('\x1b'), std::string::npos);
  EXPECT_EQ(out_.str().find("Suppressed"), std::string::npos) << "nothing to say";
}

TEST_F(FindingsTest, OneAboutNoToken) {
  server_.Answer({R"({"findingId":"fnd_1","severity":"low","title":"t","uses":1})"});
  EXPECT_EQ(ShowFinding(options_, "fnd_1", &out_), absl::OkStatus());
  ExpectParts({"no history; confidence 0 %", "Owner         none: nobody"});
  EXPECT_EQ(out_.str().find("More:"), std::string::npos);
  server_.Answer({R"({"code":"not_found","message":"no such finding"})"}, 404);
  EXPECT_EQ(ShowFinding(options_, "fnd_1", &out_), absl::NotFoundError("no such finding"));
}

TEST_F(FindingsTest, OwnersAreListed) {
  server_.Answer({R"({"owners":[{"owner":"pay","contact":"p@x","matches":["{host: a}","{}"],)"
                  R"("tokens":3,"uses":40,"openFindings":2,)"
                  R"("lastUsed":"2026-11-22T10:15:12.000000Z"},{"owner":"none"}]})"});
  options_.filters.since = "7d";
  EXPECT_EQ(ListOwners(options_, &out_), absl::OkStatus());
  EXPECT_EQ(server_.Requests()[0], "/v1/owners since=7d limit=100");
  ExpectParts({"OWNER", "FINDINGS", "OWNS", "pay ", "3", "40", " 2  2026-11-22 10:15:12Z", "p@x",
               "{host: a}; {}", "none"});
}

TEST_F(FindingsTest, ThePolicyIsShownWithWhatIsWrongNow) {
  server_.Answer({R"({"file":"/etc/p.yaml","loaded":"2026-11-22T10:15:12.000000Z","owners":2,)"
                  R"("problems":["/etc/p.yaml:3: no\u001b"],"rules":[{"rule":"young",)"
                  R"("asks":"at most 90d old","where":"/etc/p.yaml:6","openFindings":4}],)"
                  R"("suppressions":[{"rule":"new_*","until":"2026-12-01T12:00:00.000000Z",)"
                  R"("ended":true,"reason":"OPS-42"}],"detection":[{"rule":"new_host",)"
                  R"("severity":"medium","summary":"a host"}],"receivers":[{"receiver":"pager",)"
                  R"("type":"webhook","waiting":9,"error":"HTTP 500"}],"judged":5,"waiting":1})"});
  EXPECT_EQ(ShowPolicy(options_, &out_), absl::NotFoundError("the collector found 1 problem"));
  ExpectParts({"Policy: /etc/p.yaml, in force since 2026-11-22 10:15:12Z, 2 owners\n",
               "what was in force before still is:\n  /etc/p.yaml:3: no\\u{1b}\n",
               "Receivers: none\n", "judged since the start: 5, waiting: 1\n", "young",
               "at most 90d old", "new_*", ", ended", "OPS-42", "new_host", "medium", "pager", "9",
               "HTTP 500"});
  server_.Answer({R"({"file":"","problems":[],"warnings":["p.yaml:8: ended"]})"});
  out_.str("");
  EXPECT_EQ(ShowPolicy(options_, &out_), absl::OkStatus());
  ExpectParts({"Policy: none\n", "warning: p.yaml:8: ended\n"});
}

TEST_F(FindingsTest, FilesAreCheckedWithoutACollector) {
  const std::string good = File("owners:\n- {owner: a}\n");
  const std::string bad = File("owners:\n- {ownr: a}\nrules: 1\n");
  options_.server.url = "http://127.0.0.1:1";
  EXPECT_EQ(CheckPolicy(options_, {good}, &out_, &errors_), absl::OkStatus());
  EXPECT_EQ(out_.str(), good + ": 1 row of owners, 0 rules, 0 suppressions\n");
  EXPECT_EQ(errors_.str(), "");
  const absl::Status status = CheckPolicy(options_, {bad, good, "/nowhere"}, &out_, &errors_);
  EXPECT_EQ(status, absl::NotFoundError("4 problems in 2 of 3 files"));
  EXPECT_EQ(errors_.str().find(bad + ":2: 'owners' has no key 'ownr'; did you mean 'owner'?\n"), 0U)
      << errors_.str();
  EXPECT_NE(errors_.str().find(bad + ":3: 'rules' must be a list"), std::string::npos);
  EXPECT_NE(errors_.str().find("/nowhere"), std::string::npos);
  options_.output.form = "json";
  out_.str("");
  EXPECT_FALSE(CheckPolicy(options_, {bad}, &out_, &errors_).ok());
  EXPECT_EQ(Json::parse(out_.str())["valid"], false);
}

TEST_F(FindingsTest, ASuppressionThatHasEndedIsAWarning) {
  const std::string file =
      File("suppressions:\n- {rule: new_host, until: 2001-01-31, reason: moved}\n");
  EXPECT_EQ(CheckPolicy(options_, {file}, &out_, &errors_), absl::OkStatus());
  EXPECT_EQ(errors_.str().find("warning: " + file + ":2: the suppression of 'new_host' ended at "),
            0U)
      << errors_.str();
  options_.output.form = "json";
  out_.str("");
  EXPECT_EQ(CheckPolicy(options_, {file}, &out_, &errors_), absl::OkStatus());
  EXPECT_EQ(Json::parse(out_.str())["valid"], true);
  EXPECT_EQ(Json::parse(out_.str())["warnings"].size(), 1U);
}

TEST(Wrapped, BreaksAtBlanks) {
  EXPECT_EQ(Wrapped("one two three", 0, 4), "one two three\n");
  EXPECT_EQ(Wrapped("aaaaaaaaaa bbbbbbbbbb cccccccccc", 26, 4),
            "aaaaaaaaaa bbbbbbbbbb\n    cccccccccc\n");
  EXPECT_EQ(Wrapped("a\nb", 30, 0), "a\\u{a}b\n");
  const std::string longer(60, 'x');
  EXPECT_EQ(Wrapped("a " + longer + " b", 30, 2), "a\n  " + longer + "\n  b\n");
}

}  // namespace
}  // namespace tokenwatch
