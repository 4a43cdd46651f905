#include "agent/token/lives/life_story.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/agent/token/made_up.h"

namespace tokenwatch {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

const LifeCallRow& Row(std::string_view id) {
  for (const LifeCallRow& row : LifeCalls()) {
    if (row.id == id) return row;
  }
  ADD_FAILURE() << id;
  return NoLifeCall();
}

// "0 issued=b" of a use, "given 0 born_from=a" of a token of the answer.
std::vector<std::string> Told(const LifeStory& story, bool succeeded = true) {
  std::vector<std::string> lines;
  for (const LifeFact& one : story.Tell(kNow, succeeded)) {
    lines.push_back(absl::StrCat(one.of_given ? "given " : "", one.place, " ",
                                 std::string(one.fact.name), "=", one.fact.value));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

using Lines = std::vector<std::string>;
constexpr char kWhen[] = "2023-11-14T22:13:20Z";

TEST(LifeStory, ACallerIsNoSubject) {
  LifeStory story(&Row("oauth_revoke"));
  story.AddHead("authorization/bearer", "caller");
  EXPECT_EQ(Told(story), Lines{});
  story.AddAsked(AskedRole::kSubject, 1, "subject");
  EXPECT_EQ(Told(story), (Lines{absl::StrCat("1 revoked=", kWhen), "1 revoked_by=caller"}));
  EXPECT_EQ(Told(story, false), Lines{});
}

TEST(LifeStory, ASubjectWhoseBytesAreUnknownIsNotTold) {
  LifeStory story(&Row("oauth_revoke"));
  story.AddHead("authorization/basic", "caller");
  story.AddAsked(AskedRole::kSubject, 1, "");
  EXPECT_EQ(Told(story), Lines{});
}

TEST(LifeStory, ASubjectOfTheQuery) {
  LifeStory story(&Row("oauth_revoke"));
  story.AddHead("authorization/bearer", "caller");
  story.AddHead("query/token", "subject");
  EXPECT_TRUE(story.HasSubject());
  EXPECT_EQ(Told(story), (Lines{absl::StrCat("1 revoked=", kWhen), "1 revoked_by=caller"}));
}

TEST(LifeStory, CallsThatEndTheirCaller) {
  for (const char* id :
       {"vault_revoke_self", "gitlab_revoke_self", "github_installation_revoke", "slack_revoke"}) {
    SCOPED_TRACE(id);
    LifeStory story(&Row(id));
    story.AddHead("authorization/bearer", "caller");
    EXPECT_EQ(Told(story), (Lines{absl::StrCat("0 revoked=", kWhen), "0 revoked_by=caller"}));
    GivenBody body;
    body.denied = true;
    story.AddAnswer(body);
    EXPECT_EQ(Told(story), Lines{});
  }
}

TEST(LifeStory, TheSameRefreshTokenAgainIsNoRotation) {
  LifeStory story(&Row("oauth_token"));
  story.AddAsked(AskedRole::kSpent, 0, "refresh");
  story.AddGiven(GivenRole::kToken, "access");
  story.AddGiven(GivenRole::kRefresh, "refresh");
  EXPECT_EQ(Told(story), (Lines{"0 issued=access", "given 0 born_from=refresh"}));
}

TEST(LifeStory, AGrantThatSpendsNothingHoldsItsTokensTogether) {
  LifeStory story(&Row("oauth_token"));
  story.AddGiven(GivenRole::kToken, "access");
  story.AddGiven(GivenRole::kRefresh, "refresh");
  EXPECT_EQ(Told(story), (Lines{"given 0 born_with=refresh", "given 1 born_with=access"}));
}

TEST(LifeStory, EveryProofOfAnExchangeIsAParent) {
  LifeStory story(&Row("oauth_token"));
  story.AddHead("authorization/basic", "client");
  story.AddAsked(AskedRole::kProof, 1, "subject");
  story.AddAsked(AskedRole::kProof, 2, "actor");
  story.AddGiven(GivenRole::kToken, "access");
  EXPECT_EQ(Told(story), (Lines{"1 issued=access", "2 issued=access", "given 0 born_from=actor",
                                "given 0 born_from=subject"}));
}

TEST(LifeStory, WhatACheckSays) {
  LifeStory story(&Row("oauth_introspect"));
  story.AddHead("authorization/basic", "client");
  story.AddAsked(AskedRole::kSubject, 1, "subject");
  EXPECT_EQ(Told(story), Lines{});
  GivenBody body;
  body.active = false;
  story.AddAnswer(body);
  EXPECT_EQ(Told(story), Lines{absl::StrCat("1 inactive=", kWhen)});
}

TEST(LifeStory, ARefusedGrant) {
  LifeStory story(&Row("oauth_token"));
  story.AddAsked(AskedRole::kSpent, 0, "refresh");
  GivenBody body;
  body.invalid_grant = true;
  story.AddAnswer(body);
  EXPECT_EQ(Told(story, false), Lines{"0 error=invalid_grant"});
}

GivenBody Read(std::string_view row, const std::string& text, bool complete = true) {
  return *ReadGivenBody(Row(row), "", {.complete = complete, .bytes = text}, kNow,
                        [](std::string_view /*person*/) { return std::string("usr_x"); });
}

Lines Facts(const std::vector<TokenFact>& facts) {
  Lines lines;
  for (const TokenFact& fact : facts) {
    lines.push_back(absl::StrCat(std::string(fact.name), "=", fact.value));
  }
  return lines;
}

TEST(ReadGivenBody, TellsWhatTheAnswerSaysOfTheToken) {
  const std::string access = MadeUp(40), refresh = MadeUp(40);
  const GivenBody oauth =
      Read("oauth_token",
           absl::StrCat("{\"access_token\":\"", access,
                        "\",\"expires_in\":3600,\"scope\":\"read write ", access,
                        "x\",\"refresh_token\":\"", refresh, "\",\"refresh_expires_in\":\"60\"}"));
  ASSERT_EQ(oauth.secrets.size(), 2u);
  EXPECT_EQ(Facts(oauth.secrets[0].facts),
            (Lines{"expires=2023-11-14T23:13:20Z", "scope=read", "scope=write"}));
  EXPECT_EQ(Facts(oauth.secrets[1].facts), Lines{"expires=2023-11-14T22:14:20Z"});

  const GivenBody vault =
      Read("vault_login", "{\"lease_duration\":1,\"auth\":{\"client_token\":\"" + access +
                              "\",\"lease_duration\":2764800}}");
  ASSERT_EQ(vault.secrets.size(), 1u);
  EXPECT_EQ(Facts(vault.secrets[0].facts), Lines{"expires=2023-12-16T22:13:20Z"});

  const GivenBody sts = Read("sts", "<A><R><Credentials><SessionToken>" + access +
                                        "</SessionToken><Expiration>2023-11-15T01:02:03Z"
                                        "</Expiration></Credentials></R></A>");
  ASSERT_EQ(sts.secrets.size(), 1u);
  EXPECT_EQ(Facts(sts.secrets[0].facts), Lines{"expires=2023-11-15T01:02:03Z"});
}

TEST(ReadGivenBody, AJwtSaysItselfWhenItEnds) {
  const std::string jwt = Base64("{\"alg\":\"none\"}") + "." + Base64("{\"exp\":1}") + ".";
  const GivenBody given =
      Read("oauth_token", "{\"access_token\":\"" + jwt + "\",\"expires_in\":3600}");
  ASSERT_EQ(given.secrets.size(), 1u);
  EXPECT_EQ(Facts(given.secrets[0].facts), Lines{});
}

TEST(ReadGivenBody, WhatIsNotWholeIsNoToken) {
  const std::string token = MadeUp(40);
  EXPECT_EQ(Read("imds_token", token).secrets.size(), 1u);
  EXPECT_EQ(Read("imds_token", token, false).secrets.size(), 0u);
  EXPECT_EQ(Read("sts", "<A><R><Credentials><SessionToken>" + token, false).secrets.size(), 0u);
  EXPECT_EQ(Read("oauth_token", "{\"access_token\":\"" + token, false).secrets.size(), 0u);
}

TEST(ReadGivenBody, WordsAreNoTokens) {
  for (const char* value : {"page2", "", "next", "a-state-that-has-many-words", "0123456789"}) {
    EXPECT_TRUE(Read("registry_token", absl::StrCat("{\"token\":\"", value, "\"}")).secrets.empty())
        << value;
  }
}

TEST(ReadGivenBody, Introspection) {
  EXPECT_EQ(Read("oauth_introspect", "{\"active\":false,\"scope\":\"a\"}").active, false);
  const GivenBody good = Read("oauth_introspect",
                              "{\"active\":true,\"scope\":\"read write\",\"exp\":1700003600,"
                              "\"client_id\":\"app\",\"sub\":\"bob\",\"username\":\"bob\"}");
  EXPECT_EQ(good.active, true);
  EXPECT_EQ(Facts(good.of_subject), (Lines{"expires=2023-11-14T23:13:20Z", "scope=read",
                                           "scope=write", "client=app", "subject=usr_x"}));
  EXPECT_FALSE(Read("oauth_introspect", "{\"error\":\"x\"}").active.has_value());
}

TEST(ReadGivenBody, ErrorsAndDenials) {
  EXPECT_TRUE(Read("oauth_token", "{\"error\":\"invalid_grant\"}").invalid_grant);
  EXPECT_FALSE(Read("oauth_token", "{\"error\":\"invalid_client\"}").invalid_grant);
  EXPECT_TRUE(Read("slack_revoke", "{\"ok\":true,\"revoked\":false}").denied);
  EXPECT_FALSE(Read("slack_revoke", "{\"ok\":true,\"revoked\":true}").denied);
}

}  // namespace
}  // namespace tokenwatch
