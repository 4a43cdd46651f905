// How tokens stand: their states, successors, ages, and what they were last used from and against.
#include <gtest/gtest.h>

#include <map>

#include "absl/strings/str_cat.h"
#include "collector/store/detection_store.h"
#include "collector/store/finding_words.h"
#include "collector/store/sqlite/database.h"
#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch::testing {
namespace {

v1::Token Only(StoreFixture* fixture, uint64_t number) {
  const std::vector<v1::Token> tokens = fixture->Tokens(Filtered("token", TokenText(number)));
  EXPECT_EQ(tokens.size(), 1u);
  const v1::Token shown = tokens.empty() ? v1::Token() : tokens[0];
  const v1::Token alone = fixture->Detail(TokenText(number)).token();
  EXPECT_EQ(shown.state(), alone.state());
  EXPECT_EQ(shown.successor(), alone.successor());
  EXPECT_EQ(shown.age_seconds(), alone.age_seconds());
  EXPECT_EQ(shown.open_findings(), alone.open_findings());
  return shown;
}

TEST(TokenLife, StatesFollowFactsAndUses) {
  const struct {
    const char* what;
    int64_t used_us;
    std::vector<std::pair<const char*, std::string>> facts;  // each told a minute after the last
    const char* state;
    std::string successor;
  } rows[] = {
      {"used just now", kNow, {}, "active", ""},
      {"used 30 days ago", kNow - 30 * kDay, {}, "active", ""},
      {"unused for longer", kNow - 30 * kDay - 1, {}, "dormant", ""},
      {"to expire", kNow, {{"expires", "2026-11-22T10:30:01Z"}}, "active", ""},
      {"expired", kNow, {{"expires", "2026-11-22T10:29:59Z"}}, "expired", ""},
      {"was to expire",
       kNow,
       {{"expires", "2026-11-01T00:00:00Z"}, {"expires", "2027-01-01T00:00:00Z"}},
       "active",
       ""},
      {"expires never", kNow, {{"expires", "infinite-past"}}, "active", ""},
      {"expired and dormant",
       kNow - 40 * kDay,
       {{"expires", "2026-11-01T00:00:00Z"}},
       "expired",
       ""},
      {"rotated", kNow, {{"rotated_to", TokenText(900)}}, "rotated", TokenText(900)},
      {"rotated twice",
       kNow,
       {{"rotated_to", TokenText(900)}, {"rotated_to", TokenText(800)}},
       "rotated",
       TokenText(800)},
      {"rotated and expired",
       kNow,
       {{"rotated_to", TokenText(900)}, {"expires", "2026-11-01T00:00:00Z"}},
       "expired",
       TokenText(900)},
      {"revoked", kNow, {{"revoked", "2026-11-20T00:00:00Z"}}, "revoked", ""},
      {"revoked by another", kNow, {{"revoked_by", TokenText(900)}}, "revoked", ""},
      {"inactive and expired",
       kNow,
       {{"inactive", "2026-11-20T00:00:00Z"}, {"expires", "2026-11-01T00:00:00Z"}},
       "revoked",
       ""},
  };
  StoreFixture fixture;
  std::map<std::string, int> states;
  uint64_t number = 0;
  for (const auto& row : rows) {
    const auto token = Token(++number);
    std::vector<TokenFactRow> facts;
    for (const auto& [name, value] : row.facts) {
      facts.push_back(
          Fact(token, name, value, kNow - kHour + static_cast<int64_t>(facts.size()) * kMinute));
    }
    fixture.AddTelling({Use(PlainContext(), token, row.used_us)}, facts);
    const v1::Token shown = Only(&fixture, number);
    EXPECT_EQ(shown.state(), row.state) << row.what;
    EXPECT_EQ(shown.successor(), row.successor) << row.what;
    ++states[row.state];
  }
  int found = 0;
  for (const char* state : {"active", "dormant", "expired", "rotated", "revoked", "unmapped"}) {
    v1::ListRequest request = Filtered("state", state);
    request.set_limit(2);
    int listed = 0;
    do {
      const v1::ListTokensResponse page = fixture.store().ListTokens(request).value();
      for (const v1::Token& token : page.tokens()) {
        EXPECT_EQ(token.state(), state);
        ++listed;
      }
      request.set_page_token(page.next_page_token());
    } while (!request.page_token().empty());
    EXPECT_EQ(listed, states[state]) << state;
    found += listed;
  }
  EXPECT_EQ(found, static_cast<int>(std::size(rows)));
}

TEST(TokenLife, KnowsTheSuccessorFromEitherEndAndUnderEitherKey) {
  StoreFixture fixture;
  const auto old_token = Token(1);
  const auto new_token = Token({{"key_00000001", 2}, {"key_00000002", 102}});
  fixture.AddTelling({Use(PlainContext(), old_token, kNow - kHour)},
                     {Fact(Token(2), "rotated_from", TokenText(1), kNow)});
  fixture.Add({Use(PlainContext(), Token({{"key_00000002", 102}, {"key_00000001", 2}}), kNow)});
  EXPECT_EQ(Only(&fixture, 1).state(), "rotated");
  EXPECT_EQ(Only(&fixture, 1).successor(), TokenText(102)) << "as lists show it";
  EXPECT_EQ(Only(&fixture, 2).state(), "active");
  // A link to another id of its own is no successor.
  fixture.AddTelling({}, {Fact(new_token, "rotated_to", TokenText(2), kNow)});
  EXPECT_EQ(Only(&fixture, 102).state(), "active");
  EXPECT_EQ(Only(&fixture, 102).successor(), "");
  // What detection recognised is as good.
  ASSERT_TRUE(fixture.store()
                  .detection()
                  ->CommitDetection({.facts = {Fact(new_token, "rotated_to", TokenText(7), kNow)}})
                  .ok());
  EXPECT_EQ(Only(&fixture, 102).successor(), TokenText(7));
}

TEST(TokenLife, StatesOfACredentialAreItsNewestTokens) {
  StoreFixture fixture;
  const auto first = Token(1);
  const auto second = Token(2);
  fixture.AddTelling({Use(PlainContext(), first, kNow - kHour), Use(PlainContext(), second, kNow)},
                     {Fact(first, "credential", CredentialText(5), kNow),
                      Fact(second, "credential", CredentialText(5), kNow),
                      Fact(first, "expires", "2026-11-22T10:00:00Z", kNow),
                      Fact(second, "expires", "2026-11-22T11:00:00Z", kNow)});
  ASSERT_EQ(fixture.Tokens().size(), 1u);
  EXPECT_EQ(fixture.Tokens()[0].state(), "active");
  EXPECT_EQ(fixture.Detail(TokenText(1)).token().state(), "expired");
  EXPECT_TRUE(fixture.Tokens(Filtered("state", "expired")).empty());
  fixture.SetNow(kNow + kHour);
  EXPECT_EQ(fixture.Tokens(Filtered("state", "expired")).size(), 1u);
}

TEST(TokenLife, AgesFromWhenItWasIssued) {
  StoreFixture fixture;
  fixture.Add({Use(PlainContext(), Token(1), kNow - 2 * kHour)});
  EXPECT_FALSE(Only(&fixture, 1).has_issued_at());
  EXPECT_EQ(Only(&fixture, 1).age_seconds(), 7200u) << "since its first use";
  // Another token was seen to obtain it.
  fixture.AddTelling({}, {Fact(Token(9), "issued", TokenText(1), kNow - 3 * kHour)});
  EXPECT_EQ(Micros(Only(&fixture, 1).issued_at()), kNow - 3 * kHour);
  EXPECT_EQ(Only(&fixture, 1).age_seconds(), 10800u);
  // It says so itself.
  fixture.AddTelling({}, {Fact(Token(1), "issued_at", "2026-11-22T09:30:00Z", kNow)});
  EXPECT_EQ(Only(&fixture, 1).age_seconds(), 3600u);
  fixture.AddTelling({}, {Fact(Token(1), "issued_at", "2036-11-22T09:30:00Z", kNow + kMinute)});
  EXPECT_EQ(Only(&fixture, 1).age_seconds(), 0u) << "a clock ahead";
}

TEST(TokenLife, ShowsScopesThatAnswersNamed) {
  StoreFixture fixture;
  const auto token = Token(1);
  fixture.AddTelling(
      {Use(PlainContext(), token, kNow)},
      {Fact(token, "scope_accepted", "repo", kNow), Fact(token, "scope_accepted", "gist", kNow),
       Fact(token, "scope", "admin", kNow)});
  const v1::TokenDetail detail = fixture.Detail(TokenText(1));
  EXPECT_EQ(std::vector<std::string>(detail.used_scopes().begin(), detail.used_scopes().end()),
            (std::vector<std::string>{"gist", "repo"}));
}

template <typename Field>
std::vector<std::string> Texts(const Field& field) {
  return {field.begin(), field.end()};
}

// A use from machine and address `number`.
UseRow Placed(const std::shared_ptr<const UseToken>& token, int number, int64_t time_us) {
  return Use(Context([number](UseContext& context) {
               context.workload.set_host(absl::StrCat("web-", number));
               context.local_address = absl::StrCat("10.0.0.", number);
               context.peer_address = absl::StrCat("192.0.2.", number);
               context.user_agent = absl::StrCat("client/", number);
             }),
             token, time_us);
}

TEST(TokenMarks, ShowTheLatestTenOfEach) {
  StoreFixture fixture;
  const auto token = Token(1);
  for (int i = 1; i <= 12; ++i) fixture.Add({Placed(token, i, kNow - kDay + i * kMinute)});
  // The first one again, an hour later; and uses that count nowhere here.
  fixture.Add({Placed(token, 1, kNow), Placed(nullptr, 77, kNow), Placed(Token(2), 78, kNow)});
  fixture.Add({Use(Context([](UseContext& context) {
                     context.direction = "inbound";
                     context.user_agent = "inbound/1";
                   }),
                   token, kNow)});
  const std::vector<int> expected = {1, 12, 11, 10, 9, 8, 7, 6, 5, 4};
  for (const v1::Token& shown : {Only(&fixture, 1), fixture.Detail(TokenText(1)).token()}) {
    std::vector<std::string> machines, sources, peers, agents;
    for (const int i : expected) {
      machines.push_back(absl::StrCat("web-", i));
      sources.push_back(absl::StrCat("10.0.0.", i));
      peers.push_back(absl::StrCat("192.0.2.", i));
      agents.push_back(absl::StrCat("client/", i));
    }
    EXPECT_EQ(Texts(shown.machine_names()), machines);
    EXPECT_EQ(Texts(shown.source_addresses()), sources);
    EXPECT_EQ(Texts(shown.peer_addresses()), peers);
    EXPECT_EQ(Texts(shown.user_agents()), agents);
  }
  fixture.Reopen();
  EXPECT_EQ(Only(&fixture, 1).user_agents(0), "client/1");
}

TEST(TokenMarks, TakeTheAgentsAddressWhereItTellsTheSource) {
  StoreFixture fixture;
  IngestBatch far = Batch("far", 5, 1, {Placed(Token(1), 1, kNow)});
  far.agent_address = "198.51.100.9";
  ASSERT_TRUE(fixture.store().Commit({far}).ok());
  EXPECT_EQ(Texts(Only(&fixture, 1).source_addresses()),
            (std::vector<std::string>{"198.51.100.9"}));
}

TEST(TokenMarks, AreBoundedAndKeepTheLatest) {
  StoreFixture fixture;
  const auto token = Token(1);
  for (int round = 0; round < 4; ++round) {
    std::vector<UseRow> uses;
    for (int i = 0; i < 50; ++i) {
      uses.push_back(Placed(token, round * 50 + i, kNow - kDay + (round * 50 + i) * kMinute));
    }
    fixture.Add(std::move(uses));
  }
  EXPECT_EQ(Only(&fixture, 1).user_agents(0), "client/199");
  fixture.Close();
  const auto database =
      sqlite::Database::Open(fixture.path() + "/tokenwatch.db", sqlite::Database::Mode::kReadOnly)
          .value();
  sqlite::Statement count = database->Prepare(
      "SELECT count(*) FROM token_marks GROUP BY token, mark ORDER BY 1 DESC LIMIT 1");
  count.Start();
  ASSERT_TRUE(count.Next());
  EXPECT_EQ(count.Int(0), 32);
}

TEST(TokenFindings, AreCountedAndShown) {
  StoreFixture fixture;
  const auto first = Token(1);
  fixture.AddTelling({Use(PlainContext(), first, kNow), Use(PlainContext(), Token(2), kNow - kHour),
                      Use(PlainContext(), Token(3), kNow)},
                     {Fact(first, "credential", CredentialText(5), kNow),
                      Fact(Token(2), "credential", CredentialText(5), kNow)});
  DetectionCommit commit;
  for (uint64_t i = 1; i <= 25; ++i) {
    v1::Finding& finding = commit.findings.emplace_back().finding;
    const std::string bytes = IdBytes(5000 + i);
    finding.set_finding_id(
        FindingIdText({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}));
    finding.set_severity("low");
    finding.set_state(i == 2 ? "suppressed" : "open");
    finding.set_title(absl::StrCat("number ", i));
    finding.set_token_id(TokenText(i <= 22 ? 1 : 2));
    if (i == 25) finding.set_credential_id(CredentialText(5));
    finding.mutable_last_seen()->set_seconds(
        (kNow - (i == 3 ? 2 * kDay : static_cast<int64_t>(i) * kMinute)) / kSecond);
  }
  ASSERT_TRUE(fixture.store().detection()->CommitDetection(commit).ok());
  const v1::TokenDetail detail = fixture.Detail(TokenText(1));
  EXPECT_EQ(detail.token().open_findings(), 20u);
  ASSERT_EQ(detail.findings_size(), 20);
  EXPECT_EQ(detail.findings(0).title(), "number 1");
  EXPECT_EQ(detail.findings(1).state(), "suppressed");
  EXPECT_EQ(Only(&fixture, 2).open_findings(), 3u);
  EXPECT_EQ(Only(&fixture, 3).open_findings(), 0u);
  for (const v1::Token& row : fixture.Tokens()) {
    EXPECT_EQ(row.open_findings(), row.credential_id().empty() ? 0u : 23u);
  }
  EXPECT_EQ(fixture.Detail(CredentialText(5)).token().open_findings(), 23u);
}

TEST(Filters, ThatChooseElsewhereAreRefused) {
  StoreFixture fixture;
  Store& store = fixture.store();
  std::string cursor;
  const auto refused = [](const absl::Status& status, const std::string& says) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_NE(std::string(status.message()).find(says), std::string::npos) << status;
  };
  for (const auto& [name, value] : {std::pair<const char*, const char*>{"rule", "new_host"},
                                    {"severity", "high"},
                                    {"state", "open"}}) {
    const v1::ListRequest request = Filtered(name, value);
    const std::string says = absl::StrCat(name, ": does not choose among uses; for example");
    refused(store.ListUses(request).status(), says);
    refused(store.UsesAfter(request, &cursor, 10).status(), says);
    refused(store.GetStats(request).status(), says);
    refused(store.ListAgents(request).status(),
            absl::StrCat(name, ": does not choose among agents"));
    refused(store.ListTokens(request).status(), absl::StrCat(name, ": "));
  }
  refused(store.ListTokens(Filtered("state", "closed")).status(),
          "state: \"closed\" is no state of a token; for example active, dormant");
}

}  // namespace
}  // namespace tokenwatch::testing
