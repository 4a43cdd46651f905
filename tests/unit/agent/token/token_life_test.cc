// What a use says of its token, and how tokens are linked, through UseBuilder.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "agent/common/facts.h"
#include "agent/common/token_id.h"
#include "agent/token/formats/sample.h"
#include "agent/token/use_builder.h"
#include "tests/unit/agent/token/made_up.h"
#include "tests/unit/agent/token/request.h"

namespace tokenwatch {
namespace {

class Uses : public UseSink {
 public:
  void OnUse(const TokenUse& use) override { all.push_back(use); }
  std::vector<TokenUse> all;
};

class TokenLifeTest : public testing::Test {
 protected:
  explicit TokenLifeTest(Privacy privacy = {})
      : tokens_(*TokenReader::Create(fingerprinter_.get(), formats_.get(), privacy)) {}

  // An exchange; the bodies are handed on where they are not empty.
  struct Call {
    std::string method = "GET", target = "/", host = "api.example";
    std::vector<std::pair<std::string, std::string>> fields = {};
    std::string asked = {};
    int status = 200;
    std::vector<HeaderField> answer = {};
    std::string given = {};
    int version = 1;  // of HTTP
  };
  void Make(const Call& call) {
    Begin(call);
    End(call);
  }
  void Begin(const Call& call) {
    Request request;
    request.method = call.method;
    request.target = call.target;
    request.fields = call.fields;
    request.fields.emplace_back("Host", call.host);
    request.head.exchange = ++exchange_;
    request.head.version_major = call.version;
    request.head.tls = true;
    request.head.process = 7;
    request.head.mono_ns = static_cast<uint64_t>(
        absl::ToInt64Nanoseconds(clock_.Now() - absl::FromUnixSeconds(1'700'000'000)));
    builder_->OnRequest(request.Head());
    if (!call.asked.empty()) {
      builder_->OnBody({.exchange = exchange_, .complete = true, .bytes = call.asked});
    }
  }
  void End(const Call& call) {
    Answer answer;
    answer.exchange = exchange_;
    answer.kind = AnswerKind::kAnswered;
    answer.status = call.status;
    answer.peer = &peer_;
    answer.fields = call.answer;
    builder_->OnAnswer(answer);
    if (!call.given.empty()) {
      builder_->OnBody(
          {.exchange = exchange_, .answer = true, .complete = true, .bytes = call.given});
    }
  }
  Call Bearer(const std::string& token, const std::string& host) {
    return {.host = host, .fields = {{"Authorization", "Bearer " + token}}};
  }
  std::string IdOf(const std::string& token) {
    return TokenIdText(fingerprinter_->Token(token)[0].token_id);
  }
  static std::vector<std::string> Facts(const TokenUse& use, std::string_view name) {
    std::vector<std::string> values;
    for (const TokenFact& fact : use.facts) {
      if (fact.name == name) values.push_back(fact.value);
    }
    return values;
  }
  std::string Sample(const std::string& text) { return *MakeSample(text, &random_); }
  std::string Jwt(const std::string& header, const std::string& payload) {
    return UrlBase64(header) + "." + UrlBase64(payload) + "." + UrlBase64(MadeUp(48));
  }
  uint64_t Counter(const std::string& name) {
    Counters counters;
    builder_->AddCounters(&counters);
    return counters.at(name);
  }

  using Values = std::vector<std::string>;

  SampleRandom random_{7};
  const std::unique_ptr<Fingerprinter> fingerprinter_ = [] {
    std::vector<FleetKey> keys;
    keys.push_back(*FleetKey::FromHex(std::string(64, '1')));
    return *Fingerprinter::Create(keys);
  }();
  const std::unique_ptr<FormatTable> formats_ = *FormatTable::Create();
  const std::unique_ptr<TokenReader> tokens_;
  FakeClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  Uses uses_;
  std::unique_ptr<UseBuilder> builder_ =
      std::make_unique<UseBuilder>(tokens_.get(), std::vector<std::string>(), &clock_, &uses_);
  Peer peer_{PeerCertainty::kExact, "192.0.2.1", "192.0.2.2", 443, 50000};
  uint64_t exchange_ = 0;
};

TEST_F(TokenLifeTest, FormatAndWhereItMayGo) {
  const std::string token = Sample("ghp_<b62:30><crc32_base62>");
  Make(Bearer(token, "api.github.com"));
  Make(Bearer(token, "evil.example"));
  Make(Bearer(token, "localhost:8080"));
  Make(Bearer("ghp_" + MadeUp(36), "api.github.com"));
  ASSERT_EQ(uses_.all.size(), 4u);
  EXPECT_EQ(uses_.all[0].credential->format, "github_pat_classic");
  EXPECT_EQ(uses_.all[0].credential->provider, "GitHub");
  EXPECT_EQ(uses_.all[0].traits, 0u);
  EXPECT_EQ(uses_.all[1].traits, trait::kForeignHost);
  EXPECT_EQ(uses_.all[2].traits, 0u);
  EXPECT_EQ(uses_.all[3].traits, trait::kBadChecksum);
}

TEST_F(TokenLifeTest, ClaimsKnowBetterThanHosts) {
  const std::string entra =
      Jwt(R"({"alg":"RS256"})",
          R"({"iss":"https://sts.windows.net/5f4b3c2a-0000-0000-0000-000000000000/","appid":"a"})");
  const std::string plain = Jwt(R"({"alg":"RS256"})", R"({"sub":"a"})");
  const std::string coinbase = Jwt(R"({"alg":"ES256","kid":"organizations/o/apiKeys/k"})",
                                   R"({"iss":"cdp","sub":"organizations/o/apiKeys/k"})");
  Make(Bearer(entra, "api.github.com"));
  Make(Bearer(plain, "api.coinbase.com"));
  Make(Bearer(plain, "api.example"));
  Make(Bearer(coinbase, "api.coinbase.com"));
  Make(Bearer(coinbase, "api.example"));
  ASSERT_EQ(uses_.all.size(), 5u);
  EXPECT_EQ(uses_.all[0].credential->format, "azure_entra_access");
  EXPECT_EQ(uses_.all[0].traits, 0u) << "it may be for anybody's API";
  EXPECT_EQ(uses_.all[1].credential->format, "coinbase_cdp");
  EXPECT_EQ(uses_.all[1].traits, trait::kByContext);
  EXPECT_EQ(uses_.all[2].credential->format, "jwt");
  EXPECT_EQ(uses_.all[2].traits, 0u);
  EXPECT_EQ(uses_.all[3].credential->format, "coinbase_cdp");
  EXPECT_EQ(uses_.all[3].traits, 0u);
  EXPECT_EQ(uses_.all[4].credential->format, "coinbase_cdp");
  EXPECT_EQ(uses_.all[4].traits, trait::kForeignHost);
}

TEST_F(TokenLifeTest, InTheUrlAndInTheClear) {
  const std::string token = MadeUp(40);
  Make({.target = "/x?access_token=" + token});
  ASSERT_EQ(uses_.all.size(), 1u);
  EXPECT_EQ(uses_.all[0].traits, trait::kInQuery);
  // A header beside it takes nothing back: one use, by the header, and in the URL all the same.
  uses_.all.clear();
  Make({.target = "/x?access_token=" + token, .fields = {{"authorization", "Bearer " + token}}});
  ASSERT_EQ(uses_.all.size(), 1u);
  EXPECT_EQ(uses_.all[0].credential->carrier, "authorization/bearer");
  EXPECT_EQ(uses_.all[0].traits, trait::kInQuery);
  uses_.all.clear();
  Make({.target = "/x?other=" + MadeUp(40), .fields = {{"authorization", "Bearer " + token}}});
  EXPECT_EQ(uses_.all[0].traits, 0u);
  uses_.all.clear();
  const struct {
    const char *target, *scheme, *peer, *local;
    bool cleartext;
  } cases[] = {{"/x", "", "192.0.2.1", "192.0.2.2", true},
               {"https://api.example/x", "", "192.0.2.1", "192.0.2.2", true},
               {"/x", "https", "192.0.2.1", "192.0.2.2", true},
               {"/x", "", "127.0.0.1", "127.0.0.1", false},
               {"/x", "", "169.254.169.254", "10.0.0.9", false},
               {"/x", "", "::ffff:10.0.0.9", "10.0.0.9", false},
               {"/x", "", "10.0.0.8", "::ffff:10.0.0.9", true},
               {"/x", "", "", "", false}};
  for (const auto& test : cases) {
    SCOPED_TRACE(std::string(test.target) + " " + test.peer);
    Request request;
    request.target = test.target;
    request.fields = {{"Host", "api.example"}, {"X-Api-Key", token}};
    request.head.exchange = ++exchange_;
    request.head.scheme = test.scheme;
    builder_->OnRequest(request.Head());
    Answer answer;
    answer.exchange = exchange_;
    answer.kind = AnswerKind::kUnanswered;
    Peer peer = peer_;
    peer.peer_address = test.peer;
    peer.local_address = test.local;
    answer.peer = &peer;
    builder_->OnAnswer(answer);
    EXPECT_EQ(uses_.all.back().traits, test.cleartext ? trait::kCleartext : 0u);
  }
}

TEST_F(TokenLifeTest, ExpiredAndUnsignedJwts) {
  const std::string soon = std::to_string(1'700'000'000 + 3600);
  const std::string token =
      Jwt("{\"alg\":\"RS256\"}",
          "{\"iss\":\"https://idp.example\",\"sub\":\"a\",\"exp\":" + soon + "}");
  Make(Bearer(token, "api.example"));
  clock_.Advance(absl::Hours(2));
  Make(Bearer(token, "api.example"));
  Make(Bearer(
      UrlBase64("{\"alg\":\"none\"}") + "." + UrlBase64("{\"iss\":\"i\",\"sub\":\"s\"}") + ".",
      "api.example"));
  for (const char* end : {"0", "1", "-5", "946684799", "1699999000000", "\"1.69e9\""}) {
    Make(Bearer(Jwt("{\"alg\":\"RS256\"}", "{\"exp\":" + std::string(end) + "}"), "api.example"));
    EXPECT_EQ(uses_.all.back().traits, trait::kExpired) << end;
    uses_.all.pop_back();
  }
  ASSERT_EQ(uses_.all.size(), 3u);
  EXPECT_EQ(uses_.all[0].credential->format, "jwt");
  EXPECT_EQ(uses_.all[0].traits, 0u);
  EXPECT_EQ(Facts(uses_.all[0], fact::kIssuer), Values{"https://idp.example"});
  EXPECT_EQ(uses_.all[1].traits, trait::kExpired);
  EXPECT_EQ(uses_.all[2].traits & trait::kAlgNone, trait::kAlgNone);
}

TEST_F(TokenLifeTest, ARenewedJwtStandsForTheSame) {
  const auto token = [&](const char* sub, int n) {
    return Jwt("{\"alg\":\"RS256\"}", std::string("{\"iss\":\"https://idp.example\",\"sub\":\"") +
                                          sub + "\",\"client_id\":\"c\",\"jti\":\"" +
                                          std::to_string(n) + "\"}");
  };
  for (const std::string& one : {token("a", 1), token("a", 2), token("b", 3)})
    Make(Bearer(one, "h"));
  ASSERT_EQ(uses_.all.size(), 3u);
  const auto credential = [&](int i) { return Facts(uses_.all[i], fact::kCredential); };
  ASSERT_EQ(credential(0).size(), 1u);
  EXPECT_TRUE(credential(0)[0].starts_with("cred_"));
  EXPECT_EQ(credential(0), credential(1));
  EXPECT_NE(credential(0), credential(2));
  EXPECT_NE(uses_.all[0].credential->tokens[0].token_id,
            uses_.all[1].credential->tokens[0].token_id);
}

TEST_F(TokenLifeTest, ClaimsShowNoOtherToken) {
  const std::string other = Sample("ghp_<b62:30><crc32_base62>"), opaque = MadeUp(30);
  const auto claim = [](const char* name, const std::string& value) {
    return "\"" + std::string(name) + "\":\"" + value + "\"";
  };
  const std::string token =
      Jwt("{\"alg\":\"RS256\"," + claim("kid", other) + "}",
          "{" + claim("iss", "https://idp.example/?t=" + opaque) + "," + claim("jti", other) + "," +
              claim("sub", "repo:" + other) + "," + claim("scope", "read x." + other) + "," +
              "\"aud\":[\"https://x.example/?access_token=" + other +
              "\",\"https://hooks.slack.com/services/T0123ABCD/B0123ABCD/" + MadeUp(24) +
              "\",\"https://api.example/" + opaque + "\"]}");
  for (const bool alone : {true, false}) {
    Call call = Bearer(token, alone ? "api.example" : "b.example");
    if (!alone) call.fields.emplace_back("X-Api-Key", opaque);
    if (!alone) clock_.Advance(absl::Hours(2));
    uses_.all.clear();
    Make(call);
    ASSERT_EQ(uses_.all.size(), alone ? 1u : 2u);
    const TokenUse& use = uses_.all[0];
    EXPECT_EQ(Facts(use, fact::kIssuer), Values{"https://idp.example/"});
    EXPECT_EQ(Facts(use, fact::kScope), Values{"read"});
    EXPECT_EQ(Facts(use, fact::kJwtId), Values{});
    EXPECT_EQ(Facts(use, fact::kKeyId), Values{});
    EXPECT_EQ(Facts(use, fact::kSubject), Values{});
    Values audiences = {"https://x.example/", "https://hooks.slack.com/services/{secret}"};
    if (alone) audiences.push_back("https://api.example/" + opaque);
    EXPECT_EQ(Facts(use, fact::kAudience), audiences);
  }
}

TEST_F(TokenLifeTest, FactsAreToldOnceAnHour) {
  const std::string key = Sample("AKIA<b32:16>");
  Call call;
  call.host = "s3.eu-west-1.amazonaws.com";
  call.fields = {{"Authorization", "AWS4-HMAC-SHA256 Credential=" + key +
                                       "/20260101/eu-west-1/s3/aws4_request, Signature=00"}};
  Make(call);
  Make(call);
  clock_.Advance(absl::Minutes(61));
  Make(call);
  ASSERT_EQ(uses_.all.size(), 3u);
  EXPECT_EQ(uses_.all[0].credential->format, "aws_access_key");
  EXPECT_EQ(Facts(uses_.all[0], fact::kPublicId), Values{key});
  EXPECT_TRUE(uses_.all[1].facts.empty());
  EXPECT_EQ(Facts(uses_.all[2], fact::kPublicId), Values{key});
}

TEST_F(TokenLifeTest, WhatAnswersTell) {
  const std::string token = Sample("ghp_<b62:30><crc32_base62>");
  Call call = Bearer(token, "api.github.com");
  call.answer = {{"X-OAuth-Scopes", "repo, read:org"}, {"X-Accepted-OAuth-Scopes", "repo"}};
  Make(call);
  Make(call);
  call.answer = {{"X-OAuth-Scopes", "repo, " + token}};
  Make(call);
  ASSERT_EQ(uses_.all.size(), 3u);
  EXPECT_EQ(Facts(uses_.all[0], fact::kScope), (Values{"repo", "read:org"}));
  EXPECT_EQ(Facts(uses_.all[0], fact::kScopeAccepted), Values{"repo"});
  EXPECT_TRUE(uses_.all[1].facts.empty());
  // A server that sends the token back does not make a fact of it.
  for (const TokenFact& fact : uses_.all[2].facts)
    EXPECT_EQ(fact.value.find("ghp_"), std::string::npos);
}

TEST_F(TokenLifeTest, AScopeWithAUuidIsNoSecret) {
  Call call = Bearer(MadeUp(40), "api.example");
  call.answer = {{"X-OAuth-Scopes", "api://5f0c7b1e-2a3d-4c5b-8e9f-0a1b2c3d4e5f/access_as_user"}};
  Make(call);
  ASSERT_EQ(uses_.all.size(), 1u);
  EXPECT_EQ(Facts(uses_.all[0], fact::kScope),
            Values{"api://5f0c7b1e-2a3d-4c5b-8e9f-0a1b2c3d4e5f/access_as_user"});
}

// A server sends back a part of what it was sent, in whatever clothes.
TEST_F(TokenLifeTest, AnswersShowNoPartOfAToken) {
  for (int i = 0; i < 8; ++i) {
    const std::string token = MadeUp(36), part = token.substr(i, 20), other = MadeUp(36);
    Call call = Bearer(token, "api.example");
    call.fields.emplace_back("X-Api-Key", other);
    call.status = 401;
    const std::string challenge =
        "Bearer error=\"" + part + "\", resource_metadata=\"https://h.example/" + part + "\"";
    const std::string scopes = "/" + token + "/, a." + token + ", x=" + other + ", https://h/" +
                               other.substr(4, 13) + ", " + Base64("x" + token) + ", read";
    const std::string kind = token + "x", organization = "org-" + other.substr(20);
    call.answer = {{"X-OAuth-Client-Id", part},
                   {"X-Credential-Type", kind},
                   {"WWW-Authenticate", challenge},
                   {"X-OAuth-Scopes", scopes},
                   {"OpenAI-Organization", organization}};
    Make(call);
    ASSERT_EQ(uses_.all.size(), 2u);
    for (const TokenUse& use : uses_.all) {
      for (const TokenFact& fact : use.facts) EXPECT_EQ(fact.value, "read") << fact.name;
    }
    EXPECT_EQ(uses_.all[0].facts.size(), 1u);
    uses_.all.clear();
  }
}

TEST_F(TokenLifeTest, SecretsOfBodiesAreHiddenInTheRest) {
  const std::string refresh = "correct-horse-battery-staple-nine", access = MadeUp(40),
                    scopes = "read, " + refresh.substr(2);
  Make({.method = "POST",
        .target = "/t/" + refresh + "/token?" + access,
        .fields = {{"User-Agent", "x " + refresh}, {"X-Request-Id", access}},
        .asked = "grant_type=refresh_token&refresh_token=" + refresh,
        .answer = {{"X-OAuth-Scopes", scopes}},
        .given = "{\"access_token\":\"" + access + "\",\"scope\":\"write " + refresh + "\"}"});
  Make(Bearer(access, "api.example"));
  ASSERT_EQ(uses_.all.size(), 2u);
  for (const TokenUse& use : uses_.all) {
    for (const std::string& text :
         {use.request->path, use.request->query, use.request->user_agent, use.request_id}) {
      EXPECT_EQ(text.find("horse-battery"), std::string::npos) << text;
      EXPECT_EQ(text.find(access.substr(5, 12)), std::string::npos) << text;
    }
  }
  EXPECT_EQ(Facts(uses_.all[0], fact::kScope), Values{"read"});
  EXPECT_EQ(Facts(uses_.all[1], fact::kScope), Values{"write"});
}

TEST_F(TokenLifeTest, SentOnToANewHost) {
  const std::string token = MadeUp(40);
  Call call = Bearer(token, "a.example");
  call.status = 302;
  call.answer = {{"Location", "https://b.example/x"}};
  Make(call);
  Make(Bearer(token, "b.example"));
  Make(Bearer(token, "c.example"));
  ASSERT_EQ(uses_.all.size(), 3u);
  EXPECT_EQ(uses_.all[0].traits, 0u);
  EXPECT_EQ(uses_.all[1].traits, trait::kRedirected);
  EXPECT_EQ(uses_.all[2].traits, 0u);
}

TEST_F(TokenLifeTest, ARotationIsLinked) {
  const std::string client = MadeUp(30), old_refresh = MadeUp(40), new_refresh = MadeUp(40),
                    access = MadeUp(50);
  const Call call = {
      .method = "POST",
      .target = "/oauth/token",
      .host = "login.example",
      .fields = {{"Authorization", "Basic " + Base64("app:" + client)}},
      .asked = "grant_type=refresh_token&refresh_token=" + old_refresh,
      .given = "{\"access_token\":\"" + access + "\",\"refresh_token\":\"" + new_refresh + "\"}"};
  Begin(call);
  End({.status = 200});
  EXPECT_TRUE(uses_.all.empty());  // wait for the body
  EXPECT_EQ(builder_->waiting(), 1u);
  builder_->OnBody({.exchange = exchange_, .answer = true, .complete = true, .bytes = call.given});
  ASSERT_EQ(uses_.all.size(), 2u);
  EXPECT_EQ(uses_.all[0].credential->carrier, "authorization/basic");
  EXPECT_TRUE(Facts(uses_.all[0], fact::kIssued).empty());
  const TokenUse& spent = uses_.all[1];
  EXPECT_EQ(spent.credential->carrier, "body/refresh_token");
  EXPECT_EQ(TokenIdText(spent.credential->tokens[0].token_id), IdOf(old_refresh));
  EXPECT_EQ(spent.status, 200);
  EXPECT_EQ(Facts(spent, fact::kIssued), Values{IdOf(access)});
  EXPECT_EQ(Facts(spent, fact::kRotatedTo), Values{IdOf(new_refresh)});

  Make(Bearer(access, "api.example"));
  Make(Bearer(access, "api.example"));
  EXPECT_EQ(Facts(uses_.all[2], fact::kBornFrom), Values{IdOf(old_refresh)});
  EXPECT_TRUE(Facts(uses_.all[3], fact::kBornFrom).empty());
  Make({.method = "POST",
        .target = "/oauth/token",
        .host = "login.example",
        .asked = "grant_type=refresh_token&refresh_token=" + new_refresh,
        .status = 400,
        .given = "{\"error\":\"invalid_grant\"}"});
  EXPECT_EQ(uses_.all.back().credential->carrier, "body/refresh_token");
  EXPECT_EQ(Facts(uses_.all.back(), fact::kError), Values{"invalid_grant"});
  EXPECT_EQ(Facts(uses_.all.back(), fact::kRotatedFrom), Values{IdOf(old_refresh)});
}

TEST_F(TokenLifeTest, ARotationOverHttp2IsLinked) {
  const std::string old_refresh = MadeUp(40), new_refresh = MadeUp(40);
  Make({.method = "POST",
        .target = "/oauth/token",
        .asked = "grant_type=refresh_token&refresh_token=" + old_refresh,
        .given = "{\"refresh_token\":\"" + new_refresh + "\"}",
        .version = 2});
  ASSERT_EQ(uses_.all.size(), 1u);
  EXPECT_EQ(uses_.all[0].request->http_version, "2");
  EXPECT_EQ(uses_.all[0].credential->carrier, "body/refresh_token");
  EXPECT_EQ(Facts(uses_.all[0], fact::kRotatedTo), Values{IdOf(new_refresh)});
}

// A gRPC call is answered behind its body, and none that its path may name.
TEST_F(TokenLifeTest, ABodyBeforeItsAnswerEndsNothing) {
  Call call = {.method = "POST", .target = "/made.up/token", .version = 2};
  call.fields = {{"Authorization", "Bearer " + MadeUp(40)}};
  const std::string given = "{\"access_token\":\"" + MadeUp(40) + "\"}";
  for (const char* type : {"application/grpc+proto", "application/x-www-form-urlencoded"}) {
    call.fields.resize(1);
    call.fields.emplace_back("Content-Type", type);
    Begin(call);
    builder_->OnBody({.exchange = exchange_, .answer = true, .complete = true, .bytes = given});
    EXPECT_EQ(builder_->waiting(), 1u);
    End({.status = 200});
    clock_.Advance(absl::Seconds(3));
    builder_->Sweep();
    EXPECT_EQ(builder_->waiting(), 0u);
    ASSERT_FALSE(uses_.all.empty());
    EXPECT_EQ(uses_.all.back().status, 200);
  }
  EXPECT_EQ(uses_.all.size(), 2u);
  EXPECT_EQ(Counter("life_calls"), 1u);
  EXPECT_EQ(Counter("bodies_unread"), 2u);
}

TEST_F(TokenLifeTest, ASecretInHeaderAndBodyIsOneUse) {
  const std::string client = MadeUp(30), access = MadeUp(40);
  Make({.method = "POST",
        .target = "http://login.example/oauth/token",
        .fields = {{"Authorization", "Basic " + Base64("app:" + client)}},
        .asked = "grant_type=client_credentials&client_secret=" + client,
        .given = "{\"access_token\":\"" + access + "\"}"});
  ASSERT_EQ(uses_.all.size(), 1u);
  EXPECT_EQ(uses_.all[0].credential->carrier, "authorization/basic");
  EXPECT_EQ(Facts(uses_.all[0], fact::kIssued), Values{IdOf(access)});
}

TEST_F(TokenLifeTest, ABodysSecretIsKeptOutOfTheRequestsTexts) {
  const std::string refresh = MadeUp(40), client = MadeUp(36);
  Make({.method = "POST",
        .target = "/t/" + refresh + "/token",
        .host = "idp.example",
        .fields = {{"User-Agent", "x/1 " + client}, {"X-Request-Id", refresh}},
        .asked = "grant_type=refresh_token&refresh_token=" + refresh + "&client_id=app&" +
                 "client_secret=" + client,
        .given = "{}"});
  ASSERT_EQ(uses_.all.size(), 2u);
  for (const TokenUse& use : uses_.all) {
    EXPECT_EQ(use.request->path, "/t/{secret}/token");
    EXPECT_EQ(use.request->user_agent, "x/1 {secret}");
    EXPECT_EQ(use.request_id, "{secret}");
  }
}

TEST_F(TokenLifeTest, ACallWithoutItsParameterIsAnother) {
  Make({.method = "POST",
        .target = "/api/token",
        .asked = "refresh_token=" + MadeUp(30),
        .given = "{\"access_token\":\"" + MadeUp(30) + "\"}"});
  EXPECT_TRUE(uses_.all.empty());
  EXPECT_EQ(builder_->waiting(), 0u);
}

TEST_F(TokenLifeTest, ABodyThatDoesNotComeIsNotWaitedForLong) {
  const Call call = {.method = "POST",
                     .target = "/app/installations/7/access_tokens",
                     .host = "api.github.com",
                     .fields = {{"Authorization", "Bearer " + MadeUp(40)}},
                     .status = 201};
  Make(call);
  builder_->Sweep();
  EXPECT_TRUE(uses_.all.empty());
  clock_.Advance(absl::Seconds(3));
  builder_->Sweep();
  ASSERT_EQ(uses_.all.size(), 1u);
  EXPECT_EQ(uses_.all[0].status, 201);
  EXPECT_EQ(Counter("bodies_unseen"), 1u);
  Make(call);
  builder_->SetPatience(false);
  EXPECT_EQ(uses_.all.size(), 2u);
  Make(call);
  EXPECT_EQ(uses_.all.size(), 3u);
}

TEST_F(TokenLifeTest, Revocation) {
  const std::string client = MadeUp(30), token = MadeUp(40);
  Make({.method = "POST",
        .target = "/oauth/revoke",
        .fields = {{"Authorization", "Basic " + Base64("app:" + client)}},
        .asked = "token=" + token});
  ASSERT_EQ(uses_.all.size(), 2u);
  EXPECT_EQ(uses_.all[1].credential->carrier, "body/token");
  EXPECT_EQ(Facts(uses_.all[1], fact::kRevoked), Values{"2023-11-14T22:13:20Z"});
  EXPECT_EQ(Facts(uses_.all[1], fact::kRevokedBy), Values{IdOf(client)});
  EXPECT_TRUE(Facts(uses_.all[0], fact::kRevoked).empty());

  Make({.method = "POST",
        .target = "/v1/auth/token/revoke-self",
        .fields = {{"X-Vault-Token", token}},
        .status = 204});
  EXPECT_EQ(Facts(uses_.all.back(), fact::kRevokedBy), Values{IdOf(token)});
  Make({.method = "POST",
        .target = "/v1/auth/token/revoke-self",
        .fields = {{"X-Vault-Token", token}},
        .status = 403});
  EXPECT_TRUE(Facts(uses_.all.back(), fact::kRevoked).empty());
}

TEST_F(TokenLifeTest, AwsStsInXml) {
  const std::string jwt =
      Jwt("{\"alg\":\"RS256\"}",
          "{\"iss\":\"https://oidc.example\",\"sub\":\"system:serviceaccount:a:b\"}");
  const std::string id = Sample("ASIA<b32:16>"), session = MadeUp(300);
  Make({.method = "POST",
        .target = "/",
        .host = "sts.eu-west-1.amazonaws.com",
        .asked = "Action=AssumeRoleWithWebIdentity&WebIdentityToken=" + jwt,
        .given = "<A xmlns=\"https://sts.amazonaws.com/\"><R><Credentials><AccessKeyId>" + id +
                 "</AccessKeyId><SecretAccessKey>x</SecretAccessKey><SessionToken>" + session +
                 "</SessionToken></Credentials></R></A>"});
  ASSERT_EQ(uses_.all.size(), 1u);
  EXPECT_EQ(uses_.all[0].credential->carrier, "body/WebIdentityToken");
  EXPECT_EQ(Facts(uses_.all[0], fact::kIssued), (Values{IdOf(id), IdOf(session)}));
}

TEST_F(TokenLifeTest, OfACallThatEndsSomethingElseItsCallerIsNotTold) {
  const std::string caller = MadeUp(40);
  const std::pair<std::string, std::string> header = {"Authorization", "Bearer " + caller};
  for (const char* target : {"/v2/keys/123/revoke", "/api/invitations/revoke",
                             "/v1/sys/leases/revoke", "/v1/pki/revoke"}) {
    for (const char* asked : {"", "{\"id\":3}", "serial_number=39:dd"}) {
      Make({.method = "POST", .target = target, .fields = {header}, .asked = asked});
      clock_.Advance(absl::Seconds(3));
      builder_->Sweep();
      ASSERT_FALSE(uses_.all.empty());
      EXPECT_TRUE(Facts(uses_.all.back(), fact::kRevoked).empty()) << target << " " << asked;
      EXPECT_EQ(uses_.all.size(), 1u);
      uses_.all.clear();
    }
  }
}

TEST_F(TokenLifeTest, ARevocationWhoseBodyComesLate) {
  const std::string client = MadeUp(30), token = MadeUp(40);
  const Call call = {.method = "POST",
                     .target = "/oauth/revoke",
                     .fields = {{"Authorization", "Basic " + Base64("app:" + client)}}};
  Make(call);
  EXPECT_TRUE(uses_.all.empty());
  const std::string body = "token=" + token;
  builder_->OnBody({.exchange = exchange_, .complete = true, .bytes = body});
  ASSERT_EQ(uses_.all.size(), 2u);
  EXPECT_EQ(uses_.all[1].status, 200);
  EXPECT_EQ(Facts(uses_.all[1], fact::kRevokedBy), Values{IdOf(client)});
  EXPECT_EQ(Counter("bodies_unseen"), 0u);
}

TEST_F(TokenLifeTest, RevocationsThatNeedNoBodyAreSeenOverHttp2) {
  const std::string token = MadeUp(40), other = MadeUp(40);
  const Call calls[] = {{.method = "POST",
                         .target = "/v1/auth/token/revoke-self",
                         .fields = {{"X-Vault-Token", token}},
                         .status = 204,
                         .version = 2},
                        {.method = "POST",
                         .target = "/revoke?token=" + token,
                         .host = "oauth2.googleapis.com",
                         .fields = {{"Authorization", "Bearer " + other}, {"Content-Length", "0"}},
                         .version = 2},
                        {.method = "DELETE",
                         .target = "/installation/token",
                         .host = "api.github.com",
                         .fields = {{"Authorization", "Bearer " + token}},
                         .status = 204,
                         .version = 2},
                        {.method = "DELETE",
                         .target = "/api/v4/personal_access_tokens/self",
                         .host = "gitlab.com",
                         .fields = {{"PRIVATE-TOKEN", token}},
                         .status = 204,
                         .version = 2},
                        {.target = "/api/auth.revoke",
                         .host = "slack.com",
                         .fields = {{"Authorization", "Bearer " + token}},
                         .given = "{\"revoked\":true}",
                         .version = 2}};
  for (const Call& call : calls) {
    SCOPED_TRACE(call.target);
    uses_.all.clear();
    Make(call);
    size_t revoked = 0;
    for (const TokenUse& use : uses_.all) {
      const bool is = TokenIdText(use.credential->tokens[0].token_id) == IdOf(token);
      EXPECT_EQ(Facts(use, fact::kRevoked).size(), is ? 1u : 0u);
      revoked += is ? 1 : 0;
    }
    EXPECT_EQ(revoked, 1u);
  }
}

TEST_F(TokenLifeTest, TheSameRefreshTokenIsNotRotated) {
  const std::string refresh = MadeUp(40), access = MadeUp(40);
  for (int i = 0; i < 2; ++i) {
    Make({.method = "POST",
          .target = "/oauth/token",
          .asked = "grant_type=refresh_token&refresh_token=" + refresh,
          .given = "{\"access_token\":\"" + access + "\",\"refresh_token\":\"" + refresh + "\"}"});
    EXPECT_TRUE(Facts(uses_.all.back(), fact::kRotatedFrom).empty());
    EXPECT_TRUE(Facts(uses_.all.back(), fact::kRotatedTo).empty());
  }
}

TEST_F(TokenLifeTest, WhatTheAnswerSaysOfANewTokenIsToldWithItsFirstUse) {
  const std::string access = MadeUp(40), refresh = MadeUp(40);
  Make({.method = "POST",
        .target = "/oauth/token",
        .asked = "grant_type=password&username=bob&password=x",
        .given = "{\"access_token\":\"" + access + "\",\"refresh_token\":\"" + refresh +
                 "\",\"expires_in\":3600,\"scope\":\"read\"}"});
  Make(Bearer(access, "api.example"));
  ASSERT_EQ(uses_.all.size(), 1u);
  EXPECT_EQ(Facts(uses_.all[0], fact::kExpires), Values{"2023-11-14T23:13:20Z"});
  EXPECT_EQ(Facts(uses_.all[0], fact::kScope), Values{"read"});
  EXPECT_EQ(Facts(uses_.all[0], fact::kBornWith), Values{IdOf(refresh)});
}

TEST_F(TokenLifeTest, AnIntrospectedToken) {
  const std::string client = MadeUp(30), token = MadeUp(40);
  Make({.method = "POST",
        .target = "/oauth/introspect",
        .fields = {{"Authorization", "Basic " + Base64("app:" + client)}},
        .asked = "token=" + token,
        .given = "{\"active\":false}"});
  ASSERT_EQ(uses_.all.size(), 2u);
  EXPECT_EQ(uses_.all[1].credential->carrier, "body/token");
  EXPECT_EQ(Facts(uses_.all[1], fact::kInactive), Values{"2023-11-14T22:13:20Z"});
  EXPECT_TRUE(Facts(uses_.all[0], fact::kInactive).empty());
}

class StrictTest : public TokenLifeTest {
 protected:
  StrictTest() : TokenLifeTest(*ReadPrivacy({.profile = "strict"})) {}
};

TEST_F(StrictTest, KeepsNoPersons) {
  const std::string token =
      Jwt("{\"alg\":\"RS256\"}",
          "{\"iss\":\"https://idp.example\",\"sub\":\"auth0|7\",\"email\":\"bob@a.example\"}");
  Make({.target = "/users/bob/repos/9?q=1",
        .fields = {{"Authorization", "Bearer " + token}, {"User-Agent", "Mozilla/5.0 (Bob's)"}}});
  Make({.fields = {{"Authorization", "Basic " + Base64("bob:" + MadeUp(20))}}});
  ASSERT_EQ(uses_.all.size(), 2u);
  EXPECT_EQ(uses_.all[0].request->path, "/users/bob/...");
  EXPECT_EQ(uses_.all[0].request->query, "");
  EXPECT_EQ(uses_.all[0].request->user_agent, "Mozilla/5.0");
  EXPECT_TRUE(Facts(uses_.all[0], fact::kSubject).empty());
  EXPECT_TRUE(Facts(uses_.all[0], fact::kOwner).empty());
  EXPECT_EQ(Facts(uses_.all[0], fact::kIssuer), Values{"https://idp.example"});
  EXPECT_TRUE(uses_.all[1].credential->user_ids.empty());
}

}  // namespace
}  // namespace tokenwatch
