// What is learnt of tokens beside their uses: facts, traits and credentials.
#include "collector/store/sqlite/token_facts.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "collector/store/sqlite/database.h"
#include "collector/store/use_traits.h"
#include "collector/store/user_id.h"
#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch::testing {
namespace {

constexpr char kOldKey[] = "key_00000001";
constexpr char kNewKey[] = "key_00000002";

std::string Values(const v1::TokenDetail& detail, const std::string& name) {
  for (const v1::Fact& fact : detail.facts()) {
    if (fact.name() == name) return absl::StrJoin(fact.values(), " ");
  }
  return "";
}

// Values that hold, then those that held earlier in brackets.
std::string Told(const v1::TokenDetail& detail, const std::string& name) {
  std::vector<std::string> told;
  for (const v1::Fact& fact : detail.facts()) {
    if (fact.name() != name) continue;
    for (const v1::FactValue& value : fact.told()) {
      told.push_back(value.earlier() ? absl::StrCat("(", value.value(), ")") : value.value());
    }
  }
  return absl::StrJoin(told, " ");
}

std::string Unneeded(const v1::TokenDetail& detail) {
  return absl::StrJoin(detail.unneeded_scopes(), " ");
}

std::shared_ptr<const UseContext> With(uint32_t traits, const std::string& host = "h.example.com") {
  return Context([&](UseContext& made) {
    made.host = host;
    made.traits = traits;
  });
}

TEST(TokenFacts, AreToldOfTheirToken) {
  StoreFixture fixture;
  const auto context = PlainContext();
  const auto token = Token(1);
  fixture.AddTelling(
      {Use(context, token, kNow), Use(context, Token(2), kNow)},
      {Fact(token, "public_id", "AKIA1", kNow - kHour),
       Fact(token, "account", "111111111111", kNow - kHour),
       Fact(token, "account", "222222222222", kNow - kMinute), Fact(token, "owner", "41", kNow),
       Fact(token, "expires", "2027-01-01T00:00:00Z", kNow),
       Fact(token, "made_up_by_a_newer_agent", "x", kNow)});
  for (int round = 0; round < 2; ++round) {
    const v1::TokenDetail detail = fixture.Detail(TokenText(1));
    ASSERT_EQ(detail.facts_size(), 5);
    EXPECT_EQ(detail.facts(0).name(), "account") << "by name";
    EXPECT_EQ(Values(detail, "account"), "222222222222 111111111111") << "newest first";
    EXPECT_EQ(Micros(detail.facts(0).first_seen()), kNow - kHour);
    EXPECT_EQ(Micros(detail.facts(0).last_seen()), kNow - kMinute);
    EXPECT_EQ(Values(detail, "made_up_by_a_newer_agent"), "x");
    for (const v1::Token& shown :
         {detail.token(), fixture.Tokens(Filtered("token", TokenText(1)))[0]}) {
      EXPECT_EQ(shown.public_id(), "AKIA1");
      EXPECT_EQ(shown.account(), "222222222222");
      EXPECT_EQ(shown.owner(), "41");
      EXPECT_EQ(shown.expires().seconds(), 1798761600);
      EXPECT_EQ(shown.credential_id(), "");
      EXPECT_EQ(shown.issued(), 1u);
    }
    EXPECT_EQ(fixture.Detail(TokenText(2)).facts_size(), 0);
    EXPECT_FALSE(fixture.Detail(TokenText(2)).token().has_expires());
    fixture.Reopen();
  }
}

TEST(TokenFacts, LinksAreSeenFromBothEnds) {
  StoreFixture fixture;
  const auto context = PlainContext();
  const auto parent = Token(1), child = Token(2), next = Token(3);
  fixture.AddTelling(
      {Use(context, parent, kNow), Use(context, child, kNow), Use(context, next, kNow)},
      {Fact(parent, "issued", TokenText(2), kNow), Fact(parent, "rotated_to", TokenText(3), kNow),
       Fact(child, "born_from", TokenText(1), kNow - kMinute)});
  EXPECT_EQ(Values(fixture.Detail(TokenText(1)), "issued"), TokenText(2));
  EXPECT_EQ(Values(fixture.Detail(TokenText(2)), "born_from"), TokenText(1)) << "once";
  EXPECT_EQ(Values(fixture.Detail(TokenText(3)), "rotated_from"), TokenText(1));
  EXPECT_EQ(Values(fixture.Detail(TokenText(3)), "born_from"), "");
}

TEST(TokenFacts, LinksToATokenThatNobodyUsedAreItsPage) {
  StoreFixture fixture;
  const auto parent = Token(1);
  fixture.AddTelling(
      {Use(PlainContext(), parent, kNow)},
      {Fact(parent, "issued", TokenText(2), kNow - kHour),
       Fact(parent, "rotated_to", TokenText(3), kNow), Fact(parent, "owner", TokenText(4), kNow)});
  const v1::TokenDetail child = fixture.Detail(TokenText(2));
  EXPECT_EQ(child.token().token_id(), TokenText(2));
  EXPECT_EQ(child.token().uses(), 0u);
  EXPECT_FALSE(child.token().has_last_used());
  EXPECT_EQ(child.usage_size(), 0);
  ASSERT_EQ(child.facts_size(), 1);
  EXPECT_EQ(Values(child, "born_from"), TokenText(1));
  EXPECT_EQ(Micros(child.facts(0).told(0).first_seen()), kNow - kHour);
  EXPECT_EQ(Values(fixture.Detail(TokenText(3)), "rotated_from"), TokenText(1));
  for (const uint64_t unknown : {4, 5}) {
    EXPECT_EQ(fixture.store().GetToken(TokenText(unknown)).status().code(),
              absl::StatusCode::kNotFound);
  }
  EXPECT_EQ(fixture.Tokens().size(), 1u) << "only what was used is listed";
}

TEST(TokenFacts, LinksOutliveTheRotationOfKeys) {
  StoreFixture fixture;
  const auto context = PlainContext();
  // The parent told of the child under the old key; then both came under both keys, and then under
  // the new one alone.
  const auto old_parent = Token({{kOldKey, 1}});
  const auto both_parent = Token({{kNewKey, 11}, {kOldKey, 1}});
  const auto both_child = Token({{kNewKey, 12}, {kOldKey, 2}});
  fixture.AddTelling({Use(context, old_parent, kNow - 3 * kHour)},
                     {Fact(old_parent, "issued", TokenText(2), kNow - 3 * kHour)});
  fixture.AddTelling({Use(context, both_parent, kNow - kHour), Use(context, both_child, kNow)},
                     {Fact(both_parent, "issued", TokenText(12), kNow - kHour),
                      Fact(both_child, "born_from", TokenText(11), kNow)});
  const v1::TokenDetail parent = fixture.Detail(TokenText(11));
  EXPECT_EQ(Values(parent, "issued"), TokenText(12)) << "one token, as lists show it";
  const v1::TokenDetail child = fixture.Detail(TokenText(2));
  EXPECT_EQ(child.token().token_id(), TokenText(12));
  EXPECT_EQ(Values(child, "born_from"), TokenText(11));
  ASSERT_EQ(child.facts_size(), 1);
  EXPECT_EQ(Micros(child.facts(0).first_seen()), kNow - 3 * kHour);
  EXPECT_EQ(Micros(child.facts(0).last_seen()), kNow);
}

TEST(TokenFacts, OfNamesToldWholeThoseToldLastHold) {
  StoreFixture fixture;
  const auto context = Context([](UseContext& made) { made.provider = "GitHub"; });
  const auto token = Token(1);
  const auto tell = [&](int64_t time_us, const std::vector<const char*>& scopes) {
    std::vector<TokenFactRow> facts;
    for (const char* scope : scopes) facts.push_back(Fact(token, "scope", scope, time_us));
    facts.push_back(Fact(token, "scope_accepted", "repo", time_us));
    fixture.AddTelling({Use(context, token, time_us)}, facts);
  };
  const int64_t start = kNow - 4 * kHour;
  tell(start, {"repo", "gist"});
  EXPECT_EQ(Unneeded(fixture.Detail(TokenText(1))), "gist");
  tell(start + kSecond, {"repo"});
  EXPECT_EQ(Told(fixture.Detail(TokenText(1)), "scope"), "repo (gist)") << "at once";
  EXPECT_EQ(Unneeded(fixture.Detail(TokenText(1))), "");
  tell(start + 2 * kSecond, {"repo"});  // another agent says the same
  EXPECT_EQ(Told(fixture.Detail(TokenText(1)), "scope"), "repo (gist)");
  tell(start + 30 * kSecond, {"repo", "user"});
  EXPECT_EQ(Told(fixture.Detail(TokenText(1)), "scope"), "user repo (gist)");
  EXPECT_EQ(Unneeded(fixture.Detail(TokenText(1))), "user");
  fixture.Reopen();
  tell(start + kHour, {"repo"});
  tell(start - kHour, {"gist", "repo"});  // a backlog
  const v1::TokenDetail detail = fixture.Detail(TokenText(1));
  EXPECT_EQ(Told(detail, "scope"), "repo (user) (gist)");
  EXPECT_EQ(Unneeded(detail), "");
  EXPECT_EQ(Told(detail, "scope_accepted"), "repo") << "what was needed once stays needed";
  for (const v1::Fact& fact : detail.facts()) {
    if (fact.name() != "scope") continue;
    EXPECT_EQ(Values(detail, "scope"), "repo user gist") << "as ever";
    EXPECT_EQ(Micros(fact.told(2).first_seen()), start - kHour);
    EXPECT_EQ(Micros(fact.told(2).last_seen()), start);
  }
}

TEST(TokenFacts, TellOfAJwtForWhomItIs) {
  StoreFixture fixture;
  const auto token = Token(1);
  fixture.AddTelling(
      {Use(PlainContext(), token, kNow)},
      {Fact(token, "issuer", "https://idp.example", kNow), Fact(token, "subject", "usr_x", kNow),
       Fact(token, "client", "ci", kNow), Fact(token, "organization", "acme", kNow)});
  for (const v1::Token& shown : {fixture.Detail(TokenText(1)).token(), fixture.Tokens().front()}) {
    EXPECT_EQ(shown.issuer(), "https://idp.example");
    EXPECT_EQ(shown.subject(), "usr_x");
    EXPECT_EQ(shown.client(), "ci");
    EXPECT_EQ(shown.organization(), "acme");
  }
}

TEST(TokenFacts, AreTakenFromRetriesAndOnce) {
  StoreFixture fixture;
  const auto token = Token(1);
  IngestBatch batch = Batch("a", 7, 1, {Use(PlainContext(), token, kNow)});
  ASSERT_TRUE(fixture.store().Commit({batch}).ok());
  batch.token_facts = {Fact(token, "owner", "1", kNow), Fact(token, "owner", "1", kNow)};
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(fixture.store().Commit({batch}).ok());
  EXPECT_EQ(fixture.Stats().uses(), 1u);
  EXPECT_EQ(Values(fixture.Detail(TokenText(1)), "owner"), "1");
  batch.token_facts = {{.name = "owner", .value = "1"}};
  EXPECT_EQ(fixture.store().Commit({batch}).code(), absl::StatusCode::kInvalidArgument);
}

TEST(TokenFacts, KnowWhenTheyWereToldFirstAndLast) {
  const struct {
    std::vector<int64_t> told;
    int64_t first, last;
  } cases[] = {
      {{0, kHour}, 0, kHour},
      {{0, kSecond}, 0, 0},  // right to a minute
      {{0, kMinute, kMinute + kSecond}, 0, kMinute},
      {{0, -kHour}, -kHour, 0},  // a backlog
      {{0, 2 * kDay}, 0, kNow},  // a clock that is ahead
  };
  uint64_t number = 0;
  StoreFixture fixture;
  for (const auto& test : cases) {
    const auto token = Token(++number);
    const int64_t base = kNow - 2 * kHour;
    for (const int64_t at : test.told) {
      fixture.AddTelling({Use(PlainContext(), token, kNow)},
                         {Fact(token, "owner", "1", base + at)});
    }
    const v1::TokenDetail detail = fixture.Detail(TokenText(number));
    ASSERT_EQ(detail.facts_size(), 1);
    EXPECT_EQ(Micros(detail.facts(0).first_seen()), base + test.first) << number;
    EXPECT_EQ(Micros(detail.facts(0).last_seen()), test.last == kNow ? kNow : base + test.last)
        << number;
  }
}

TEST(TokenFacts, AreBounded) {
  StoreFixture fixture;
  const auto token = Token(1);
  // A hundred values of one name, the older ones told later.
  std::vector<TokenFactRow> facts;
  for (int i = 0; i < 100; ++i) {
    facts.push_back(Fact(token, "scope", absl::StrCat(i), kNow - i * kMinute));
  }
  fixture.AddTelling({Use(PlainContext(), token, kNow)}, facts);
  v1::TokenDetail detail = fixture.Detail(TokenText(1));
  ASSERT_EQ(detail.facts_size(), 1);
  ASSERT_EQ(detail.facts(0).values_size(), 64);
  EXPECT_EQ(detail.facts(0).values(0), "0");
  EXPECT_EQ(detail.facts(0).values(63), "63");
  EXPECT_EQ(fixture.Agents()[0].counters().at("store_token_facts_dropped"), 36u);
  // And many names.
  for (int name = 0; name < 60; ++name) {
    std::vector<TokenFactRow> more;
    for (int i = 0; i < 10; ++i) {
      more.push_back(Fact(token, absl::StrCat("n", name), absl::StrCat(i), kNow + name * kSecond));
    }
    fixture.AddTelling({Use(PlainContext(), token, kNow)}, more);
  }
  detail = fixture.Detail(TokenText(1));
  int values = 0;
  for (const v1::Fact& fact : detail.facts()) values += fact.values_size();
  EXPECT_EQ(values, sqlite::kMaxFacts);
  EXPECT_EQ(Values(detail, "scope"), "") << "told before all others";
  EXPECT_NE(Values(detail, "n59"), "");
  EXPECT_EQ(fixture.Agents()[0].counters().at("store_token_facts_dropped"), 36u + 64 + 600 - 512);
}

TEST(TokenFacts, OutliveUsesAsTheirTokensDo) {
  StoreFixture fixture(7);
  const auto token = Token(1);
  fixture.AddTelling(
      {Use(PlainContext(), token, kNow)},
      {Fact(token, "owner", "1", kNow), Fact(token, "credential", CredentialText(1), kNow)});
  fixture.SetNow(kNow + 30 * kDay);
  fixture.AddTelling({Use(PlainContext(), Token(2), kNow + 30 * kDay)}, {});
  EXPECT_EQ(fixture.Uses(Filtered("token", TokenText(1))).size(), 0u);
  EXPECT_EQ(Values(fixture.Detail(TokenText(1)), "owner"), "1");
  EXPECT_EQ(fixture.Detail(CredentialText(1)).token().uses(), 1u);
  EXPECT_EQ(fixture.Tokens().size(), 2u);
}

TEST(Users, OfBasicAreShownAndFilteredBy) {
  StoreFixture fixture;
  const auto by = [](uint64_t user) {
    return Context([&](UseContext& made) { made.user_id = user == 0 ? "" : IdBytes(user); });
  };
  const auto alice = by(1), bob = by(2), nobody = by(0);
  const std::string alice_id = UserIdText(IdBytes(1)), bob_id = UserIdText(IdBytes(2));
  fixture.Add({Use(nobody, Token(1), kNow - 3 * kHour), Use(alice, Token(1), kNow - kHour),
               Use(alice, Token(1), kNow - kHour + kSecond), Use(bob, Token(1), kNow),
               Use(alice, Token(2), kNow), Use(alice, nullptr, kNow - kMinute)});
  for (int round = 0; round < 2; ++round) {
    std::vector<std::string> users;
    for (const v1::Use& use : fixture.Uses(Filtered("token", TokenText(1)))) {
      users.push_back(use.user_id());
    }
    EXPECT_EQ(users, (std::vector<std::string>{bob_id, alice_id, alice_id, ""}));
    // The users of a token.
    const v1::TokenDetail detail = fixture.Detail(TokenText(1));
    EXPECT_EQ(Values(detail, "user_id"), bob_id + " " + alice_id);
    EXPECT_EQ(Micros(detail.facts(0).first_seen()), kNow - kHour);
    EXPECT_EQ(Values(fixture.Detail(TokenText(2)), "user_id"), alice_id);
    // The uses of a user.
    EXPECT_EQ(fixture.Uses(Filtered("user", alice_id)).size(), 4u);
    EXPECT_EQ(fixture.Uses(Filtered("user", bob_id)).size(), 1u);
    EXPECT_EQ(fixture.Uses(Filtered("user", UserIdText(IdBytes(3)))).size(), 0u);
    v1::ListRequest both = Filtered("user", alice_id);
    both.set_token(TokenText(1));
    both.set_host("api.example.com");
    both.set_since("30m");
    EXPECT_EQ(fixture.Uses(both).size(), 0u);
    both.set_since("2h");
    EXPECT_EQ(fixture.Uses(both).size(), 2u);
    std::string cursor = "0";
    EXPECT_EQ(fixture.store().UsesAfter(Filtered("user", bob_id), &cursor, 100)->size(), 1u);
    fixture.Reopen();
  }
  for (const absl::Status& status :
       {fixture.store().ListUses(Filtered("user", "alice")).status(),
        fixture.store().ListTokens(Filtered("user", alice_id)).status(),
        fixture.store().GetStats(Filtered("user", alice_id)).status(),
        fixture.store().ListAgents(Filtered("user", alice_id)).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  }
}

TEST(TokenFacts, TellWhichScopesAreNotNeeded) {
  struct Case {
    const char* provider;
    std::vector<std::string> granted, accepted, unneeded;
  };
  const Case cases[] = {
      {"GitHub", {"repo", "gist"}, {}, {}},  // nothing is known of what is needed
      {"GitHub", {}, {"repo"}, {}},
      {"GitHub", {"repo", "gist", "admin:org"}, {"public_repo"}, {"admin:org", "gist"}},
      {"GitHub", {"repo", "admin:org"}, {"read:org"}, {"repo"}},  // by write:org
      {"GitHub", {"public_repo", "gist"}, {"repo"}, {"gist", "public_repo"}},
      {"GitHub", {"repo"}, {"repo", "public_repo"}, {}},
      {"Other", {"repo", "read"}, {"public_repo", "read"}, {"repo"}},  // GitHub's words are its own
  };
  StoreFixture fixture;
  uint64_t number = 0;
  for (const Case& test : cases) {
    const auto token = Token(++number);
    const auto context = Context([&](UseContext& made) { made.provider = test.provider; });
    std::vector<TokenFactRow> facts;
    for (const auto& scope : test.granted) facts.push_back(Fact(token, "scope", scope, kNow));
    for (const auto& scope : test.accepted) {
      facts.push_back(Fact(token, "scope_accepted", scope, kNow));
    }
    fixture.AddTelling({Use(context, token, kNow)}, facts);
    const v1::TokenDetail detail = fixture.Detail(TokenText(number));
    EXPECT_EQ(
        std::vector<std::string>(detail.unneeded_scopes().begin(), detail.unneeded_scopes().end()),
        test.unneeded)
        << number;
  }
}

TEST(Traits, AreShownAndFilteredBy) {
  StoreFixture fixture;
  uint64_t number = 0;
  std::vector<UseRow> uses;
  for (const UseTraitRow& row : kUseTraits) {
    ++number;
    uses.push_back(Use(With(row.bit), Token(number), kNow));
    uses.push_back(Use(With(0), Token(number), kNow, 403));
  }
  fixture.Add(uses);
  number = 0;
  for (const UseTraitRow& row : kUseTraits) {
    ++number;
    const v1::ListRequest request = Filtered("trait", row.word);
    const std::vector<v1::Use> found = fixture.Uses(request);
    ASSERT_EQ(found.size(), 1u) << row.word;
    EXPECT_EQ(found[0].token_id(), TokenText(number));
    v1::Use expected = found[0];
    for (const UseTraitRow& other : kUseTraits) (expected.*other.set)(other.bit == row.bit);
    EXPECT_EQ(found[0].SerializeAsString(), expected.SerializeAsString()) << row.word;
    EXPECT_EQ(fixture.Stats(request).uses(), 1u);
    EXPECT_EQ(fixture.Stats(request).denied(), 0u);
    const std::vector<v1::Token> tokens = fixture.Tokens(request);
    ASSERT_EQ(tokens.size(), 1u);
    EXPECT_EQ(tokens[0].token_id(), TokenText(number));
    EXPECT_EQ(tokens[0].uses(), 1u);
    // A trait makes no resource of its own.
    const v1::TokenDetail detail = fixture.Detail(TokenText(number));
    EXPECT_EQ(detail.token().resources(), 1u);
    EXPECT_EQ(detail.token().foreign_host_uses(), row.bit == v1::USE_TRAIT_FOREIGN_HOST ? 1u : 0u);
    ASSERT_EQ(detail.usage_size(), 1);
    EXPECT_EQ(detail.usage(0).uses(), 2u);
  }
  std::string cursor = "0";
  EXPECT_EQ(fixture.store().UsesAfter(Filtered("trait", "inQuery"), &cursor, 100)->size(), 1u);
  EXPECT_EQ(fixture.Stats().uses(), 16u);
}

// Tokens of one credential, an hour apart each, the newest an hour ago.
std::vector<std::shared_ptr<const UseToken>> Issue(StoreFixture* fixture, uint64_t credential,
                                                   uint64_t first, int tokens) {
  std::vector<std::shared_ptr<const UseToken>> issued;
  for (int i = 0; i < tokens; ++i) {
    issued.push_back(Token(first + static_cast<uint64_t>(i)));
    const int64_t time = kNow - (tokens - i) * kHour;
    const auto context = Context([&](UseContext& made) {
      made.host = absl::StrCat("h", i, ".example.com");
      made.workload.set_host(absl::StrCat("web-", i % 2));
      made.format = "jwt";
    });
    fixture->AddTelling({Use(context, issued.back(), time), Use(context, issued.back(), time, 403)},
                        {Fact(issued.back(), "credential", CredentialText(credential), time),
                         Fact(issued.back(), "issuer", "https://issuer.example", time),
                         Fact(issued.back(), "jwt_id", absl::StrCat("jti-", i), time)});
  }
  return issued;
}

TEST(Credentials, AreOneRowOfAList) {
  StoreFixture fixture;
  Issue(&fixture, 1, 100, 5);
  fixture.Add({Use(PlainContext(), Token(1), kNow - 150 * kMinute)});
  const auto received = Context([](UseContext& made) { made.direction = "inbound"; });
  fixture.Add({Use(received, Token(100), kNow), Use(received, Token(104), kNow)});
  for (int round = 0; round < 2; ++round) {
    const std::vector<v1::Token> tokens = fixture.Tokens();
    ASSERT_EQ(tokens.size(), 2u);
    const v1::Token& row = tokens[0];
    EXPECT_EQ(row.token_id(), TokenText(104)) << "the newest";
    EXPECT_EQ(row.credential_id(), CredentialText(1));
    EXPECT_EQ(row.issued(), 5u);
    EXPECT_EQ(row.uses(), 10u);
    EXPECT_EQ(row.denied(), 5u);
    EXPECT_EQ(row.machines(), 2u);
    EXPECT_EQ(row.workloads(), 2u);
    EXPECT_EQ(row.resources(), 5u);
    EXPECT_EQ(row.hosts_size(), 5);
    EXPECT_EQ(row.inbound_uses(), 2u);
    EXPECT_EQ(Micros(row.first_used()), kNow - 5 * kHour);
    EXPECT_EQ(Micros(row.last_used()), kNow - kHour);
    EXPECT_EQ(tokens[1].token_id(), TokenText(1));
    EXPECT_EQ(tokens[1].credential_id(), "");
    EXPECT_EQ(tokens[1].issued(), 1u);
    EXPECT_EQ(fixture.Stats().tokens(), 2u);
    // A time and a place choose among its tokens.
    const v1::Token recent = fixture.Tokens(Filtered("since", "2h"))[0];
    EXPECT_EQ(recent.issued(), 2u);
    EXPECT_EQ(recent.uses(), 4u);
    const v1::Token there = fixture.Tokens(Filtered("host", "h0.example.com"))[0];
    EXPECT_EQ(there.token_id(), TokenText(100));
    EXPECT_EQ(there.credential_id(), CredentialText(1));
    EXPECT_EQ(there.issued(), 1u);
    fixture.Reopen();
  }
}

TEST(Credentials, AreAskedForByTheirIdAndTokensByTheirs) {
  StoreFixture fixture;
  Issue(&fixture, 1, 100, 3);
  Issue(&fixture, 2, 200, 2);
  const std::string one = TokenText(101);
  const std::string all = CredentialText(1);

  const v1::TokenDetail token = fixture.Detail(one);
  EXPECT_EQ(token.token().token_id(), one);
  EXPECT_EQ(token.token().credential_id(), all) << "to go on from there";
  EXPECT_EQ(token.token().uses(), 2u);
  EXPECT_EQ(token.token().issued(), 1u);
  EXPECT_EQ(token.usage_size(), 1);
  EXPECT_EQ(Values(token, "jwt_id"), "jti-1");
  EXPECT_EQ(fixture.Uses(Filtered("token", one)).size(), 2u);
  EXPECT_EQ(fixture.Uses(Filtered("token", one))[0].credential_id(), all);
  ASSERT_EQ(fixture.Tokens(Filtered("token", one)).size(), 1u);
  EXPECT_EQ(fixture.Tokens(Filtered("token", one))[0].uses(), 2u);
  EXPECT_EQ(fixture.Stats(Filtered("token", one)).uses(), 2u);

  const v1::TokenDetail credential = fixture.Detail(all);
  EXPECT_EQ(credential.token().token_id(), TokenText(102));
  EXPECT_EQ(credential.token().credential_id(), all);
  EXPECT_EQ(credential.token().uses(), 6u);
  EXPECT_EQ(credential.token().issued(), 3u);
  EXPECT_EQ(credential.usage_size(), 3);
  EXPECT_EQ(Values(credential, "jwt_id"), "jti-2 jti-1 jti-0");
  EXPECT_EQ(Values(credential, "issuer"), "https://issuer.example");
  EXPECT_EQ(fixture.Uses(Filtered("token", all)).size(), 6u);
  ASSERT_EQ(fixture.Tokens(Filtered("token", all)).size(), 1u);
  EXPECT_EQ(fixture.Tokens(Filtered("token", all))[0].uses(), 6u);
  EXPECT_EQ(fixture.Stats(Filtered("token", all)).uses(), 6u);
  EXPECT_EQ(fixture.Stats(Filtered("token", all)).tokens(), 1u);

  EXPECT_EQ(fixture.store().GetToken(CredentialText(3)).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_TRUE(fixture.Uses(Filtered("token", CredentialText(3))).empty());
  EXPECT_EQ(fixture.store().GetToken("cred_x").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Credentials, ALaterFactFoldsWhatIsThere) {
  StoreFixture fixture;
  const auto first = Token(1);
  const auto second = Token(2);
  fixture.Add({Use(PlainContext(), first, kNow), Use(PlainContext(), second, kNow)});
  EXPECT_EQ(fixture.Tokens().size(), 2u);
  fixture.AddTelling({}, {Fact(first, "credential", CredentialText(1), kNow),
                          Fact(second, "credential", CredentialText(1), kNow)});
  EXPECT_EQ(fixture.Tokens().size(), 1u);
  EXPECT_EQ(fixture.Stats().tokens(), 1u);
}

TEST(Credentials, MayNotBeWhatTheySayTheyAre) {
  StoreFixture fixture;
  const auto context = PlainContext();
  std::vector<UseRow> uses;
  std::vector<TokenFactRow> facts;
  for (uint64_t i = 1; i <= 3; ++i) {
    const auto token = Token(i);
    uses.push_back(Use(context, token, kNow));
    facts.push_back(Fact(token, "credential", CredentialText(i), kNow));
    // No credential's id, and a second one under the only key.
    facts.push_back(Fact(token, "credential", "the same", kNow));
    facts.push_back(Fact(token, "credential", CredentialText(9), kNow));
  }
  fixture.AddTelling(uses, facts);
  EXPECT_EQ(fixture.Tokens().size(), 3u);
  for (uint64_t i = 1; i <= 3; ++i) {
    EXPECT_EQ(fixture.Detail(TokenText(i)).token().credential_id(), CredentialText(i));
  }
  // Under two keys it may have two, but not those of others under one key.
  const auto both = Token({{kOldKey, 4}, {kNewKey, 104}});
  fixture.AddTelling({Use(context, both, kNow)},
                     {Fact(both, "credential", CredentialText(1), kNow),
                      Fact(both, "credential", CredentialText(2), kNow)});
  EXPECT_EQ(fixture.Tokens().size(), 3u);
  EXPECT_EQ(fixture.Detail(CredentialText(1)).token().uses(), 2u);
  EXPECT_EQ(fixture.Detail(CredentialText(2)).token().uses(), 1u);
}

TEST(Credentials, AreJoinedOverARotation) {
  StoreFixture fixture;
  const auto context = PlainContext();
  int64_t time = kNow - 10 * kHour;
  const auto use = [&](std::vector<std::pair<std::string, uint64_t>> ids,
                       const std::vector<uint64_t>& credentials) {
    const auto token = Token(std::move(ids));
    std::vector<TokenFactRow> facts;
    for (const uint64_t credential : credentials) {
      facts.push_back(Fact(token, "credential", CredentialText(credential), time));
    }
    fixture.AddTelling({Use(context, token, time)}, facts);
    time += kMinute;
  };
  use({{kOldKey, 1}}, {11});                      // before
  use({{kOldKey, 2}, {kNewKey, 102}}, {11, 12});  // during, in either order
  use({{kNewKey, 103}, {kOldKey, 3}}, {12, 11});
  use({{kNewKey, 104}}, {12});  // after
  use({{kOldKey, 5}}, {15});    // another
  for (int round = 0; round < 2; ++round) {
    ASSERT_EQ(fixture.Tokens().size(), 2u);
    const v1::Token row = fixture.Tokens()[1];
    EXPECT_EQ(row.token_id(), TokenText(104));
    EXPECT_EQ(row.credential_id(), CredentialText(12)) << "the one that was told last";
    EXPECT_EQ(row.issued(), 4u) << "tokens, not ids";
    EXPECT_EQ(row.uses(), 4u);
    for (const uint64_t id : {11, 12}) {
      EXPECT_EQ(fixture.Detail(CredentialText(id)).token().uses(), 4u) << id;
      EXPECT_EQ(fixture.Uses(Filtered("token", CredentialText(id))).size(), 4u) << id;
    }
    for (const uint64_t id : {2, 102}) {
      EXPECT_EQ(fixture.Detail(TokenText(id)).token().uses(), 1u) << id;
      EXPECT_EQ(fixture.Detail(TokenText(id)).token().credential_id(), CredentialText(12)) << id;
    }
    fixture.Reopen();
  }
}

TEST(Credentials, OfTokensThatTurnOutToBeOneAreOne) {
  StoreFixture fixture;
  const auto context = PlainContext();
  const auto old_id = Token({{kOldKey, 1}});
  const auto new_id = Token({{kNewKey, 101}});
  fixture.AddTelling({Use(context, old_id, kNow), Use(context, new_id, kNow)},
                     {Fact(old_id, "credential", CredentialText(11), kNow),
                      Fact(new_id, "credential", CredentialText(12), kNow)});
  EXPECT_EQ(fixture.Tokens().size(), 2u);
  fixture.Add({Use(context, Token({{kOldKey, 1}, {kNewKey, 101}}), kNow)});
  ASSERT_EQ(fixture.Tokens().size(), 1u);
  EXPECT_EQ(fixture.Tokens()[0].issued(), 1u);
  EXPECT_EQ(fixture.Detail(CredentialText(11)).token().uses(), 3u);
  EXPECT_EQ(fixture.Detail(CredentialText(12)).token().uses(), 3u);
}

TEST(Credentials, ComeOnceInPagesWhileTheirTokensAreRenewed) {
  for (const char* since : {"", "24h"}) {
    StoreFixture fixture;
    const auto context = PlainContext();
    std::vector<std::string> expected;
    uint64_t next = 1000;
    const auto renew = [&](uint64_t credential, int64_t time) {
      const auto token = Token(next++);
      fixture.AddTelling({Use(context, token, time)},
                         {Fact(token, "credential", CredentialText(credential), time)});
    };
    for (uint64_t i = 1; i <= 12; ++i) {
      for (int k = 3; k-- > 0;) renew(i, kNow - static_cast<int64_t>(i) * kMinute - k * kHour);
      expected.push_back(CredentialText(i));
    }
    v1::ListRequest request = Filtered("since", since);
    request.set_limit(2);
    std::vector<std::string> listed;
    int64_t step = 0;
    do {
      const v1::ListTokensResponse page = fixture.store().ListTokens(request).value();
      for (const v1::Token& token : page.tokens()) listed.push_back(token.credential_id());
      request.set_page_token(page.next_page_token());
      // Credentials that were listed and that are to come go on with new tokens.
      fixture.SetNow(kNow + ++step * kSecond);
      for (uint64_t i = 1; i <= 12; i += 2) renew(i, kNow + step * kSecond);
      ASSERT_LT(step, 100);
    } while (!request.page_token().empty());
    EXPECT_EQ(listed, expected) << "since " << since;
  }
}

TEST(TokenFacts, ADatabaseOfTheThirdVersionIsUpgraded) {
  StoreFixture fixture;
  const auto context = With(0);
  const auto received = Context([](UseContext& made) { made.direction = "inbound"; });
  const auto token = Token(1);
  fixture.Add({Use(context, token, kNow - kHour), Use(context, Token(2), kNow - kHour, 403),
               Use(received, token, kNow - kHour)});
  v1::TokenDetail before = fixture.Detail(TokenText(1));
  // Which addresses and user agents a token had is known from the fifth version on.
  before.mutable_token()->clear_source_addresses();
  before.mutable_token()->clear_peer_addresses();
  before.mutable_token()->clear_user_agents();
  fixture.Close();
  {
    const auto database = sqlite::Database::Open(fixture.path() + "/tokenwatch.db",
                                                 sqlite::Database::Mode::kReadWrite)
                              .value();
    database->Execute(kUndoDetection);
    database->Execute(kUndoTokenFacts);
    ASSERT_TRUE(database->ok()) << database->TakeStatus();
  }
  fixture.Reopen();
  EXPECT_EQ(fixture.Detail(TokenText(1)).SerializeAsString(), before.SerializeAsString());
  EXPECT_EQ(fixture.Uses().size(), 3u);
  EXPECT_TRUE(fixture.Uses(Filtered("trait", "foreignHost")).empty());
  // The same resource again, and what the older version could not hold.
  fixture.AddTelling(
      {Use(context, token, kNow), Use(With(1), token, kNow)},
      {Fact(token, "owner", "1", kNow), Fact(token, "credential", CredentialText(1), kNow)});
  fixture.Reopen();
  const v1::TokenDetail after = fixture.Detail(TokenText(1));
  EXPECT_EQ(after.token().uses(), 3u);
  EXPECT_EQ(after.token().resources(), 1u);
  EXPECT_EQ(after.token().foreign_host_uses(), 1u);
  EXPECT_EQ(after.token().credential_id(), CredentialText(1));
  EXPECT_EQ(Values(after, "owner"), "1");
  EXPECT_EQ(fixture.Uses(Filtered("trait", "foreignHost")).size(), 1u);
}

}  // namespace
}  // namespace tokenwatch::testing
