#include "agent/token/answers/answer_facts.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "tests/unit/agent/token/made_up_jwt.h"

namespace tokenwatch {
namespace {

bool NoSecret(std::string_view /*value*/) { return false; }

// "name=value|name=value"
std::string Told(const TokenAnswer& answer) {
  std::vector<TokenFact> facts;
  AddAnswerFacts(answer, Masked, NoSecret, &facts);
  std::string text;
  for (const TokenFact& fact : facts) {
    if (!text.empty()) text += '|';
    text.append(fact.name).append("=").append(fact.value);
  }
  return text;
}

TokenAnswer Answer(absl::Span<const HeaderField> fields, int status = 200) {
  TokenAnswer answer;
  answer.fields = fields;
  answer.status = status;
  answer.host = "api.acme.example";
  return answer;
}

TEST(AnswerFacts, EveryRowTakesItsSampleAndLeavesItsNearMiss) {
  std::string_view last;
  for (const AnswerRow& row : AnswerRows()) {
    SCOPED_TRACE(row.field);
    EXPECT_LE(last, row.field);
    last = row.field;
    EXPECT_EQ(absl::AsciiStrToLower(std::string(row.field)), row.field);
    EXPECT_NE(std::string(row.shown).find(std::string(row.fact) + "="), std::string::npos);
    const int status = row.status == 0 ? 200 : row.status;
    for (const std::string& name :
         {std::string(row.field), absl::AsciiStrToUpper(std::string(row.field))}) {
      const HeaderField field{name, row.sample};
      TokenAnswer answer = Answer({&field, 1}, status);
      answer.provider = row.provider;
      EXPECT_EQ(Told(answer), row.shown);
      EXPECT_NE(AnswerDigest(answer), 0u);
      const HeaderField other{name, row.near_miss};
      answer.fields = {&other, 1};
      EXPECT_EQ(Told(answer), "") << row.near_miss;
    }
    if (row.status != 0) {
      const HeaderField field{row.field, row.sample};
      EXPECT_EQ(Told(Answer({&field, 1}, 200)), "") << "of another status";
    }
    if (!row.host.empty()) {
      const HeaderField field{row.field, row.sample};
      TokenAnswer answer = Answer({&field, 1}, status);
      answer.host = row.host.substr(1);
      EXPECT_EQ(Told(answer), row.shown);
      const std::string below = "api" + std::string(row.host);
      answer.host = below;
      EXPECT_EQ(Told(answer), row.shown);
      const std::string another = "not" + std::string(row.host.substr(1));
      answer.host = another;
      EXPECT_NE(Told(answer), row.shown);
    }
    // Names that are nearly those of the row.
    for (const std::string& name : {std::string(row.field.substr(1)), std::string(row.field) + "s",
                                    std::string(row.field.substr(0, row.field.size() - 1)) + "~"}) {
      const HeaderField field{name, row.sample};
      const std::string told = Told(Answer({&field, 1}, status));
      EXPECT_EQ(told, "") << name;
    }
  }
}

TEST(AnswerFacts, ReadsWhatStandsInSeveralFields) {
  const struct {
    std::vector<HeaderField> fields;
    std::string_view told;
    std::string_view host = "api.github.com";
    int status = 200;
  } cases[] = {
      {{{"X-RateLimit-Limit", "5000"}, {"X-RateLimit-Resource", "core"}},
       "rate_limit=5000 per 3600 s (core)"},
      {{{"X-RateLimit-Limit", "5000"}, {"X-RateLimit-Resource", "not a word"}},
       "rate_limit=5000 per 3600 s"},
      {{{"X-RateLimit-Limit", "100"}, {"X-RateLimit-Period", "60"}},
       "rate_limit=100 per 60 s",
       "api.datadoghq.com"},
      {{{"X-RateLimit-Limit", "100"}, {"X-RateLimit-Period", "minute"}},
       "rate_limit=100",
       "api.datadoghq.com"},
      {{{"X-OAuth-Scopes", "repo"}, {"X-Accepted-OAuth-Scopes", "repo, public_repo"}},
       "scope=repo|scope_accepted=repo|scope_accepted=public_repo"},
      {{{"X-OAuth-Scopes", "repo"}, {"X-Accepted-OAuth-Scopes", "repo"}},
       "scope=repo",
       "api.github.com",
       404},
      {{{"x-oauth-scopes", "a,b a"}, {"x-oauth-scopes", "b,c"}}, "scope=a|scope=b|scope=c"},
      {{{"ratelimit-limit", "100, 100;w=60"}}, "rate_limit=100 per 60 s", "gitlab.com"},
      {{{"ratelimit-policy", "100;w=60"}}, "rate_limit=100 per 60 s", "gitlab.com"},
      {{{"x-error-code", "GatedRepo"}}, "", "huggingface.co", 404},
      {{{"www-authenticate", "Basic realm=\"x\""},
        {"www-authenticate", "Bearer error=\"insufficient_scope\", scope=\"a\""}},
       "error=insufficient_scope|scope_missing=a",
       "api.acme.example",
       403},
      {{{"www-authenticate",
         "Bearer authorization_uri=\"https://login.microsoftonline.com/"
         "5f0c7b1e-2a3d-4c5b-8e9f-0a1b2c3d4e5f/oauth2/authorize\", error=\"insufficient_claims\", "
         "claims=\"eyJhIjoxfQ==\""}},
       "error=insufficient_claims|error=claims_challenge|"
       "tenant=5f0c7b1e-2a3d-4c5b-8e9f-0a1b2c3d4e5f",
       "graph.microsoft.com",
       401},
      {{{"www-authenticate",
         "Bearer authorization_uri=\"https://login.microsoftonline.com/common/x\""}},
       "",
       "graph.microsoft.com",
       401},
      {{{"www-authenticate",
         "Bearer "
         "resource_metadata=\"https://rs.example/.well-known/oauth-protected-resource?t=1\""}},
       "resource_metadata=https://rs.example/.well-known/oauth-protected-resource",
       "rs.example",
       401},
      {{{"www-authenticate", "Bearer resource_metadata=\"javascript:alert(1)\""}},
       "",
       "rs.example",
       401},
      {{{"www-authenticate", "DPoP error=\"use_dpop_nonce\", algs=\"ES256\""}},
       "",
       "rs.example",
       401},
      {{{"www-authenticate",
         "Bearer error=\"insufficient_user_authentication\", acr_values=\"a\""}},
       "error=insufficient_user_authentication",
       "rs.example",
       401},
      {{{"www-authenticate", "Bearer error=\"an error\""}}, "", "rs.example", 401},
      {{{"github-authentication-token-expiration", "2026-01-31 12:00:00 UTC"}},
       "expires=2026-01-31T12:00:00Z"},
      {{{"github-authentication-token-expiration", "2026-01-31 12:00:00 -0730"}},
       "expires=2026-01-31T19:30:00Z"},
      {{{"github-authentication-token-expiration", "2026-01-31T12:00:00 UTC"}}, ""},
      {{{"github-authentication-token-expiration", "2026-01-31 12:00:00 CET"}}, ""},
      {{{"", "x"}, {"x-ratelimit-remaining", "12"}, {"x-github-request-id", "AB:CD"}}, ""},
  };
  for (const auto& [fields, told, host, status] : cases) {
    TokenAnswer answer = Answer(fields, status);
    answer.host = host;
    EXPECT_EQ(Told(answer), told);
  }
}

TEST(AnswerFacts, AreBoundedAndPrintable) {
  std::string scopes;
  for (int i = 0; i < 3000; ++i) scopes += "scope-" + std::to_string(i) + ", ";
  const std::string hostile[] = {scopes,
                                 std::string(100000, 'a'),
                                 std::string(100000, ','),
                                 std::string(100000, '='),
                                 std::string(100000, '"'),
                                 "\x1b[31m, <b>, =1+1",
                                 "a\r\nb, {secret}"};
  for (const AnswerRow& row : AnswerRows()) {
    for (const std::string& value : hostile) {
      const HeaderField field{row.field, value};
      TokenAnswer answer = Answer({&field, 1}, row.status == 0 ? 200 : row.status);
      answer.provider = row.provider;
      std::vector<TokenFact> facts;
      AddAnswerFacts(answer, Masked, NoSecret, &facts);
      EXPECT_LE(facts.size(), 64u) << row.field;
      for (const TokenFact& fact : facts) {
        EXPECT_LE(fact.value.size(), fact::kValueMax);
        for (const char c : fact.value) EXPECT_TRUE(c > 0x1f && c < 0x7f && c != '{') << fact.value;
      }
    }
  }
  // The last scope of a value that is too long is whole or missing.
  const HeaderField field{"x-oauth-scopes", std::string_view(scopes)};
  const std::string told = Told(Answer({&field, 1}));
  EXPECT_NE(told.find("scope=scope-47"), std::string::npos);
  const std::string blank = std::string(kAnswerValueMax - 3, ' ') + "repository";
  const HeaderField cut{"x-oauth-scopes", blank};
  EXPECT_EQ(Told(Answer({&cut, 1})), "");
}

// Of n different values, or n times the same, the work grows no faster than n.
TEST(AnswerFacts, WorkIsBounded) {
  struct Case {
    const char* name;
    int status;
    std::function<std::string(int)> value;
  };
  const Case cases[] = {
      {"X-OAuth-Scopes", 200,
       [](int i) {
         std::string list;
         for (int k = 0; k < 48; ++k) list += absl::StrCat("s", i, "x", k, " ");
         return list;
       }},
      {"X-OAuth-Scopes", 200, [](int /*i*/) { return std::string("a b c d e f g h"); }},
      {"WWW-Authenticate", 403,
       [](int i) {
         return absl::StrCat("Bearer error=\"insufficient_scope\", scope=\"a", i, " b", i, "\"");
       }},
      {"X-RateLimit-Limit", 200, [](int i) { return absl::StrCat(i + 1); }}};
  for (const Case& test : cases) {
    SCOPED_TRACE(test.name);
    std::vector<std::string> values;
    for (int i = 0; i < 3000; ++i) values.push_back(test.value(i));
    std::vector<HeaderField> fields;
    for (const std::string& value : values) fields.push_back({test.name, value});
    const TokenAnswer answer = {.fields = fields, .status = test.status};
    std::vector<TokenFact> facts;
    size_t asked = 0;
    const AnswerWork work = AddAnswerFacts(
        answer, Masked,
        [&asked](std::string_view /*value*/) {
          ++asked;
          return false;
        },
        &facts);
    EXPECT_LE(facts.size(), fact::kPerUseMax);
    EXPECT_LE(asked, fact::kPerUseMax);
    EXPECT_LE(work.compared, FactList::kTriesMax * fact::kPerUseMax);
    EXPECT_GT(work.dropped, 2000u);
    EXPECT_NE(AnswerDigest(answer), 0u);
  }
}

TEST(AnswerFacts, LeaveOutWhatMayBeASecret) {
  const std::vector<HeaderField> fields = {{"x-oauth-client-id", "my-secret-token"},
                                           {"x-credential-type", "api_token"}};
  std::vector<TokenFact> facts;
  AddAnswerFacts(
      Answer(fields), Masked,
      [](std::string_view value) { return value.find("secret") != std::string_view::npos; },
      &facts);
  ASSERT_EQ(facts.size(), 1u);
  EXPECT_EQ(facts[0].name, fact::kKind);
}

TEST(AnswerDigest, TellsAnswersApartThatTellSomethingElse) {
  using Fields = std::vector<HeaderField>;
  const auto digest = [](const Fields& fields, int status = 200) {
    return AnswerDigest(Answer(fields, status));
  };
  EXPECT_EQ(digest({}), 0u);
  EXPECT_EQ(digest({{"content-type", "text/html"}, {"x-ratelimit-remaining", "3"}}), 0u);
  const Fields scopes = {{"x-oauth-scopes", "a"}, {"x-ratelimit-remaining", "3"}};
  EXPECT_EQ(digest(scopes), digest({{"X-OAuth-Scopes", "a"}, {"x-ratelimit-remaining", "4"}}));
  EXPECT_EQ(digest(scopes), digest(scopes, 404));
  EXPECT_NE(digest(scopes), digest({{"x-oauth-scopes", "b"}}));
  EXPECT_NE(digest(scopes), digest({{"x-accepted-oauth-scopes", "a"}}));
  const Fields accepted = {{"x-accepted-oauth-scopes", "a"}};
  EXPECT_NE(digest(accepted), digest(accepted, 404));
  const Fields challenge = {{"www-authenticate", "Bearer error=a"}};
  EXPECT_NE(digest(challenge, 401), digest(challenge, 403));
  EXPECT_EQ(digest(challenge, 500), 0u);
  EXPECT_NE(digest({{"x-ratelimit-limit", "1"}, {"x-ratelimit-period", "1"}}),
            digest({{"x-ratelimit-limit", "1"}, {"x-ratelimit-period", "2"}}));
}

}  // namespace
}  // namespace tokenwatch
