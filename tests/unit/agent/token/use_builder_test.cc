#include "agent/token/use_builder.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/common/token_id.h"
#include "agent/token/formats/sample.h"
#include "agent/token/secret/redact.h"
#include "tests/unit/agent/token/made_up.h"
#include "tests/unit/agent/token/request.h"

namespace tokenwatch {
namespace {

class Uses : public UseSink {
 public:
  void OnUse(const TokenUse& use) override { all.push_back(use); }
  std::vector<TokenUse> all;
};

std::unique_ptr<Fingerprinter> MakeFingerprinter() {
  std::vector<FleetKey> keys;
  keys.push_back(*FleetKey::FromHex(std::string(64, '1')));
  keys.push_back(*FleetKey::FromHex(std::string(64, '2')));
  return *Fingerprinter::Create(keys);
}

class UseBuilderTest : public testing::Test {
 protected:
  void Ask(Request request, uint64_t exchange) {
    request.head.exchange = exchange;
    builder_.OnRequest(request.Head());
  }
  void Tell(uint64_t exchange, AnswerKind kind, int status, uint64_t latency_ns) {
    Answer answer;
    answer.exchange = exchange;
    answer.kind = kind;
    answer.status = status;
    answer.latency_ns = latency_ns;
    answer.peer = &peer_;
    builder_.OnAnswer(answer);
  }
  uint64_t Counter(const std::string& name) {
    Counters counters;
    builder_.AddCounters(&counters);
    EXPECT_TRUE(counters.contains(name)) << name;
    return counters[name];
  }

  const std::unique_ptr<Fingerprinter> fingerprinter_ = MakeFingerprinter();
  FakeClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  Uses uses_;
  const std::unique_ptr<FormatTable> formats_ = *FormatTable::Create();
  const std::unique_ptr<TokenReader> tokens_ =
      *TokenReader::Create(fingerprinter_.get(), formats_.get(), Privacy());
  UseBuilder builder_{tokens_.get(), {}, &clock_, &uses_, {.exchanges = 3}};
  Peer peer_{PeerCertainty::kExact, "192.0.2.1", "192.0.2.2", 443, 50000};
  const std::string secret_ = MadeUp(32);
};

TEST_F(UseBuilderTest, CompletesAUseWithItsAnswer) {
  Request request;
  request.method = "POST";
  request.target = "/v1/users/42?expand=all";
  request.fields = {{"Host", "API.example"},
                    {"User-Agent", "curl/8.5"},
                    {"X-Request-Id", "r-1"},
                    {"Authorization", "Basic " + Base64("bob:" + secret_)}};
  request.head.mono_ns = 5'000'000'000;
  request.head.process = 77;
  request.head.pid = 1234;
  request.head.tls = true;
  request.head.version_minor = 1;
  Ask(request, 9);
  EXPECT_TRUE(uses_.all.empty());
  EXPECT_EQ(Counter("uses_waiting"), 1u);
  clock_.StepWall(absl::Hours(1));  // after the time was taken
  Tell(9, AnswerKind::kAnswered, 201, 1'234'567);

  ASSERT_EQ(uses_.all.size(), 1u);
  const TokenUse& use = uses_.all[0];
  EXPECT_EQ(use.time, absl::FromUnixSeconds(1'700'000'005));
  ASSERT_EQ(use.credential->tokens.size(), 2u);
  EXPECT_EQ(use.credential->tokens[0].key_id, fingerprinter_->KeyIds()[0]);
  EXPECT_EQ(use.credential->tokens[0].token_id, fingerprinter_->Token(secret_)[0].token_id);
  EXPECT_EQ(use.credential->tokens[1].token_id, fingerprinter_->Token(secret_)[1].token_id);
  EXPECT_EQ(use.credential->user_ids, fingerprinter_->User("bob"));
  EXPECT_FALSE(use.credential->unresolved);
  EXPECT_EQ(use.credential->format, "opaque");
  EXPECT_EQ(use.credential->provider, "");
  EXPECT_EQ(use.credential->carrier, "authorization/basic");
  EXPECT_EQ(use.credential->token_length, 32u);
  EXPECT_EQ(use.request->method, "POST");
  EXPECT_EQ(use.request->scheme, "https");
  EXPECT_EQ(use.request->host, "api.example");
  EXPECT_EQ(use.request->path, "/v1/users/{id}");
  EXPECT_EQ(use.request->query, "expand");
  EXPECT_EQ(use.request->http_version, "1.1");
  EXPECT_EQ(use.request->user_agent, "curl/8.5");
  EXPECT_EQ(use.request_id, "r-1");
  EXPECT_EQ(use.status, 201);
  EXPECT_EQ(use.latency_us, 1234u);
  EXPECT_EQ(use.peer.peer_address, "192.0.2.1");
  EXPECT_EQ(use.peer.certainty, PeerCertainty::kExact);
  EXPECT_EQ(use.process, 77u);
  EXPECT_EQ(use.pid, 1234u);
  EXPECT_FALSE(use.request->inbound);
  EXPECT_EQ(use.request->probe, "openssl");
  EXPECT_EQ(use.count, 1u);
  EXPECT_EQ(Counter("uses"), 1u);
  EXPECT_EQ(Counter("uses_waiting"), 0u);
}

TEST_F(UseBuilderTest, MakesAUseForEachDistinctToken) {
  Request request;
  request.fields = {
      {"Authorization", "Bearer " + secret_}, {"X-Api-Key", MadeUp(32)}, {"X-Auth-Token", secret_}};
  request.head.inbound = true;
  Ask(request, 1);
  Tell(1, AnswerKind::kUnanswered, 0, 0);
  ASSERT_EQ(uses_.all.size(), 2u);
  EXPECT_EQ(uses_.all[0].credential->carrier, "authorization/bearer");
  EXPECT_EQ(uses_.all[1].credential->carrier, "header/x-api-key");
  for (const TokenUse& use : uses_.all) {
    EXPECT_TRUE(use.request->inbound);
    EXPECT_EQ(use.status, 0);
    EXPECT_EQ(use.request->probe, "socket");
    EXPECT_EQ(use.request->scheme, "http");
  }
}

TEST_F(UseBuilderTest, CountsRequestsThatMakeNoUse) {
  Ask(Request(), 1);
  Tell(1, AnswerKind::kAnswered, 200, 1);
  Request request;
  request.fields = {{"Authorization", "Digest response=\"x\""}, {"X-Api-Key", ""}};
  Ask(request, 2);
  request.fields = {{"Accept", "*/"}};
  request.head.cut = true;
  Ask(request, 3);
  EXPECT_TRUE(uses_.all.empty());
  EXPECT_EQ(Counter("requests"), 3u);
  EXPECT_EQ(Counter("requests_without_token"), 3u);
  EXPECT_EQ(Counter("requests_cut_token_unseen"), 1u);
  EXPECT_EQ(Counter("credentials_per_request"), 1u);
  EXPECT_EQ(Counter("credentials_empty"), 1u);
  EXPECT_EQ(Counter("uses_waiting"), 0u);
}

TEST_F(UseBuilderTest, KeepsTheCountOfWhatWasCut) {
  Request request;
  request.fields = {{"Host", "h"}, {"Authorization", "Bearer " + secret_.substr(0, 20)}};
  request.head.cut = true;
  Ask(request, 1);
  Tell(1, AnswerKind::kAnswered, 200, 1);
  ASSERT_EQ(uses_.all.size(), 1u);
  EXPECT_TRUE(uses_.all[0].credential->unresolved);
  EXPECT_TRUE(uses_.all[0].credential->tokens.empty());
  EXPECT_EQ(uses_.all[0].credential->token_length, 0u);
  EXPECT_EQ(uses_.all[0].credential->carrier, "authorization/bearer");
  EXPECT_EQ(uses_.all[0].request->host, "h");
  EXPECT_EQ(Counter("uses_unresolved"), 1u);
}

// HTTP/2 on a connection older than the agent.
TEST_F(UseBuilderTest, CountsARequestWhoseFieldsAreUnknown) {
  Request request;
  request.target = "";
  request.method = "";
  request.fields = {{"host", "h"}, {"", ""}, {"", secret_}};
  request.head.version_major = 2;
  request.head.version_minor = 0;
  request.head.unknown_fields = 2;
  Ask(request, 1);
  Tell(1, AnswerKind::kAnswered, 200, 1);
  ASSERT_EQ(uses_.all.size(), 1u);
  EXPECT_TRUE(uses_.all[0].credential->unresolved);
  EXPECT_TRUE(uses_.all[0].credential->tokens.empty());
  EXPECT_EQ(uses_.all[0].credential->carrier, "");
  EXPECT_EQ(uses_.all[0].request->http_version, "2");
  EXPECT_EQ(uses_.all[0].status, 200);
  EXPECT_EQ(Counter("uses_unresolved"), 1u);
  EXPECT_EQ(Counter("requests_with_unknown_fields"), 1u);
  EXPECT_EQ(Counter("requests_without_token"), 0u);
  EXPECT_FALSE(uses_.all[0].grpc_status.has_value());

  // A credential that is known is the use, whatever else the request held.
  request.fields.emplace_back("authorization", "Bearer " + secret_);
  Ask(request, 2);
  Tell(2, AnswerKind::kAnswered, 200, 1);
  ASSERT_EQ(uses_.all.size(), 2u);
  EXPECT_FALSE(uses_.all[1].credential->unresolved);
  EXPECT_EQ(uses_.all[1].credential->carrier, "authorization/bearer");
}

TEST_F(UseBuilderTest, DropsWhatProvedToBeABody) {
  Request request;
  request.fields = {{"Authorization", "Bearer " + secret_}};
  Ask(request, 1);
  Tell(1, AnswerKind::kDiscarded, 0, 0);
  EXPECT_TRUE(uses_.all.empty());
  EXPECT_EQ(Counter("uses_discarded"), 1u);
  Tell(1, AnswerKind::kAnswered, 200, 1);  // once is enough
  EXPECT_TRUE(uses_.all.empty());
}

TEST_F(UseBuilderTest, GivesUpTheOldestAnswerBeyondItsBound) {
  Request request;
  request.fields = {{"Authorization", "Bearer " + secret_}};
  for (uint64_t i = 0; i < 5; ++i) {
    request.head.pid = static_cast<uint32_t>(i);
    Ask(request, 100 - i);
  }
  ASSERT_EQ(uses_.all.size(), 2u);
  EXPECT_EQ(uses_.all[0].pid, 0u);
  EXPECT_EQ(uses_.all[1].pid, 1u);
  EXPECT_EQ(uses_.all[0].status, 0);
  EXPECT_EQ(Counter("answers_unseen"), 2u);
  EXPECT_EQ(Counter("uses_waiting"), 3u);
  Tell(100, AnswerKind::kAnswered, 200, 1);
  EXPECT_EQ(uses_.all.size(), 2u);
  Tell(96, AnswerKind::kAnswered, 200, 1);
  ASSERT_EQ(uses_.all.size(), 3u);
  EXPECT_EQ(uses_.all[2].pid, 4u);
}

TEST_F(UseBuilderTest, ShowsTheSecretNowhereElse) {
  const std::string blob = Base64("user:" + secret_);
  Request request;
  request.method = secret_;
  request.target = "/a/" + secret_.substr(5, 12) + "/b?" + secret_ + "=1&key=" + secret_;
  request.fields = {{"Host", secret_ + ".example"},
                    {"User-Agent", "x/1 (" + secret_ + "; " + blob + ")"},
                    {"X-Request-Id", secret_ + "\x1b[2J"},
                    {"Authorization", "Basic " + blob}};
  Ask(request, 1);
  Tell(1, AnswerKind::kAnswered, 200, 1);
  ASSERT_EQ(uses_.all.size(), 1u);
  const TokenUse& use = uses_.all[0];
  EXPECT_EQ(use.request->method, "{secret}");
  EXPECT_EQ(use.request->path, "/a/{secret}/b");
  EXPECT_EQ(use.request->query, "{secret}&key");
  EXPECT_EQ(use.request->host, "{secret}.example");
  EXPECT_EQ(use.request_id, "{secret}%1B[2J");
  EXPECT_TRUE(use.request->user_agent.starts_with("x/1 ({secret}; ")) << use.request->user_agent;
  const std::string_view secrets[] = {secret_};
  EXPECT_FALSE(SecretFinder(secrets).Occurs(use.request->user_agent)) << use.request->user_agent;
}

// Tokens that the request carries where nobody looks for them.
TEST_F(UseBuilderTest, ShowsNoOtherTokenEither) {
  SampleRandom random(3);
  const std::string other = *MakeSample("glpat-<b64url:20>", &random);
  const std::string third = *MakeSample("shpat_<hex:32>", &random);
  Request request;
  request.target = "/a/" + other + "/b?" + third;
  request.fields = {{"Host", "api.example"},
                    {"User-Agent", "x/1 (key=" + other + "; " + third + ")"},
                    {"X-Request-Id", "id:" + other},
                    {"Authorization", "Bearer " + secret_}};
  for (const uint64_t exchange : {1, 2, 3}) {
    Ask(request, exchange);
    Tell(exchange, AnswerKind::kAnswered, 200, 1);
  }
  // The query parameter that is a token is no credential, as it has no value.
  ASSERT_EQ(uses_.all.size(), 3u);
  for (const TokenUse& use : uses_.all) {
    EXPECT_EQ(use.request->path, "/a/{secret}/b");
    EXPECT_EQ(use.request->query, "{secret}");
    EXPECT_EQ(use.request->user_agent, "x/1 (key={secret}; {secret})");
    EXPECT_EQ(use.request_id, "id:{secret}");
  }
}

TEST_F(UseBuilderTest, ShowsNoSecretThatCameTooLate) {
  Request request;
  request.target = "/";
  request.fields = {{"Host", "api.example"}};
  std::vector<std::string> secrets(kCredentialsMax + 5);
  for (std::string& secret : secrets) {
    secret = MadeUp(30);
    request.fields.push_back({"X-Api-Key", secret});
  }
  request.fields.push_back({"User-Agent", "x/1 " + secrets.back()});
  Ask(request, 1);
  Tell(1, AnswerKind::kAnswered, 200, 1);
  ASSERT_EQ(uses_.all.size(), kCredentialsMax);
  EXPECT_EQ(uses_.all[0].request->user_agent, "x/1 {secret}");
}

TEST_F(UseBuilderTest, ShowsTheIdOfAKeyThatSigned) {
  Request request;
  request.target = "/devices/dev1/messages/events";
  request.fields = {{"Host", "myhub-name.azure-devices.net"},
                    {"Authorization",
                     "SharedAccessSignature sr=myhub-name.azure-devices.net%2Fdevices%2Fdev1&sig=" +
                         Base64(MadeUp(32)) + "&se=1900000000"}};
  Ask(request, 1);
  Tell(1, AnswerKind::kAnswered, 200, 1);
  ASSERT_EQ(uses_.all.size(), 1u);
  EXPECT_EQ(uses_.all[0].request->host, "myhub-name.azure-devices.net");
  EXPECT_EQ(uses_.all[0].request->path, "/devices/dev1/messages/events");
}

TEST_F(UseBuilderTest, NamesInOutboundPathsAreLearnt) {
  const auto path_of = [&](const std::string& host, const std::string& target, bool inbound) {
    Request request;
    request.target = target;
    request.head.inbound = inbound;
    request.fields = {{"Host", host}, {"Authorization", "Bearer " + secret_}};
    Ask(request, 1);
    Tell(1, AnswerKind::kAnswered, 200, 1);
    std::string path = uses_.all.back().request->path;
    uses_.all.clear();
    return path;
  };
  for (int i = 0; i <= 200; ++i) {
    path_of("api.example", absl::StrCat("/users/n", i, "x"), false);
    path_of("own.example", absl::StrCat("/users/n", i, "x"), true);
  }
  EXPECT_EQ(path_of("api.example", "/users/bob", false), "/users/{name}");
  EXPECT_EQ(path_of("own.example", "/users/bob", true), "/users/bob");
  EXPECT_EQ(path_of("api.github.com", "/repos/octo/hello/issues/7", false),
            "/repos/{owner}/{repo}/issues/{id}");
  EXPECT_EQ(path_of("api.github.com", "/repos/octo/hello/issues/7", true),
            "/repos/octo/hello/issues/{id}");
  EXPECT_EQ(path_of("api.example", "/graphql?operationName=GetUser", false), "/graphql#GetUser");
  EXPECT_EQ(path_of("api.example", "/graphql?operationName=GetUser", true), "/graphql");
  EXPECT_EQ(path_of("api.example", "/graphql?operationName=" + secret_, false), "/graphql");
  EXPECT_EQ(Counter("path_positions_variable"), 1u);
  EXPECT_EQ(Counter("paths_folded"), 0u);
}

TEST_F(UseBuilderTest, ARequestIdHoldsNoPartOfAToken) {
  const std::string digits = MadeUp(40, "0123456789abcdef");
  const auto id_of = [&](const std::string& token, const std::string& id) {
    Request request;
    request.fields = {{"Authorization", "Bearer " + token}, {"X-Request-Id", id}};
    Ask(request, 1);
    Tell(1, AnswerKind::kAnswered, 200, 1);
    return uses_.all.back().request_id;
  };
  const std::string uuid = "6f2d0c3e-3f6b-4c35-8b0e-" + digits.substr(13, 12);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(id_of(secret_, uuid), uuid);
    EXPECT_EQ(id_of(digits, uuid), "6f2d0c3e-3f6b-4c35-8b0e-{secret}");
    EXPECT_EQ(id_of(secret_, "req-" + Base64("x" + digits)), "req-" + Base64("x" + digits));
    EXPECT_NE(id_of(digits, "req-" + Base64("x" + digits)).find("{secret}"), std::string::npos);
  }
}

// What is remembered of a request with one token must not show another's.
TEST_F(UseBuilderTest, WhatIsRememberedHidesEachTokensOwnBytes) {
  const std::string words = "monday-morning-meeting-notes";
  const auto use_of = [&](const std::string& token) {
    Request request;
    request.target = "/files/" + words.substr(0, 20) + "?" + words.substr(7, 12) + "=1";
    request.fields = {{"Host", "api.example"},
                      {"User-Agent", "x/1 (" + Base64("u:" + words) + ")"},
                      {"Authorization", "Bearer " + token}};
    Ask(request, 1);
    Tell(1, AnswerKind::kAnswered, 200, 1);
    const TokenUse use = uses_.all.back();
    uses_.all.clear();
    return use;
  };
  const std::string shown = "/files/" + words.substr(0, 20);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(use_of(secret_).request->path, shown);
  for (int i = 0; i < 4; ++i) {
    const TokenUse hidden = use_of(words);
    EXPECT_EQ(hidden.request->path, "/files/{secret}");
    EXPECT_EQ(hidden.request->query, "{secret}");
    EXPECT_NE(hidden.request->user_agent.find("{secret}"), std::string::npos);
    const TokenUse again = use_of(secret_);
    EXPECT_EQ(again.request->path, shown);
    EXPECT_EQ(again.request->query, words.substr(7, 12));
  }
  EXPECT_EQ(use_of(secret_).request, use_of(MadeUp(32)).request) << "kept once for all tokens";
}

TEST_F(UseBuilderTest, WhatIsRememberedGrowsWiderWithThePaths) {
  const auto path_of = [&](const std::string& name) {
    Request request;
    request.target = "/users/" + name;
    request.fields = {{"Host", "api.example"}, {"Authorization", "Bearer " + secret_}};
    Ask(request, 1);
    Tell(1, AnswerKind::kAnswered, 200, 1);
    return uses_.all.back().request->path;
  };
  for (int i = 0; i < 4; ++i) EXPECT_EQ(path_of("bob"), "/users/bob");
  for (int i = 0; i <= 200; ++i) path_of(absl::StrCat("n", i, "x"));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(path_of("bob"), "/users/{name}");
}

TEST_F(UseBuilderTest, AGatewaysTokenIsKnownAtBothItsHosts) {
  const auto use_of = [&](const std::string& host, const std::string& user) {
    Request request;
    request.fields = {{"Host", host}, {"Authorization", "Basic " + Base64(user + ":" + secret_)}};
    Ask(request, 1);
    Tell(1, AnswerKind::kAnswered, 200, 1);
    return uses_.all.back();
  };
  const auto first = use_of("own.example", "bob").credential;
  const auto second = use_of("other.example", "bob").credential;
  const auto third = use_of("own.example", "eve").credential;
  EXPECT_EQ(first->tokens[0].token_id, second->tokens[0].token_id);
  EXPECT_EQ(first->user_ids, fingerprinter_->User("bob"));
  EXPECT_EQ(third->user_ids, fingerprinter_->User("eve"));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(use_of("own.example", "bob").credential, first);
    EXPECT_EQ(use_of("other.example", "bob").credential, second);
    EXPECT_EQ(use_of("own.example", "eve").credential, third);
  }
  for (int i = 0; i < 9; ++i) use_of(absl::StrCat("h", i, ".example"), "bob");
  EXPECT_EQ(use_of("own.example", "bob").credential->user_ids, first->user_ids);
}

// Of a service that anybody may run no table knows the hosts.
TEST_F(UseBuilderTest, LearnsWhereTokensAreAtHome) {
  const std::string token = "glpat-" + MadeUp(20);
  uint64_t exchange = 0;
  const auto is_foreign = [&](const std::string& host, int minute, bool inbound = false,
                              int status = 200) {
    Request request;
    request.fields = {{"Host", host}, {"Private-Token", token}};
    request.head.mono_ns = static_cast<uint64_t>(minute) * 60'000'000'000 + 1;
    request.head.inbound = inbound;
    Ask(request, ++exchange);
    Tell(exchange, AnswerKind::kAnswered, status, 1);
    return (uses_.all.back().traits & trait::kForeignHost) != 0;
  };
  EXPECT_FALSE(is_foreign("gitlab.acme.example", 0));
  EXPECT_FALSE(is_foreign("elsewhere.example", 1, false, 401)) << "nothing is known yet";
  EXPECT_FALSE(is_foreign("gitlab.acme.example", 30));
  EXPECT_FALSE(is_foreign("gitlab.acme.example", 61));
  EXPECT_TRUE(is_foreign("elsewhere.example", 62, false, 401));
  EXPECT_TRUE(is_foreign("elsewhere.example", 63));
  EXPECT_FALSE(is_foreign("gitlab.acme.example", 64));
  EXPECT_FALSE(is_foreign("gitlab.com", 65)) << "the table's";
  EXPECT_FALSE(is_foreign("gitlab.internal", 66));
  EXPECT_FALSE(is_foreign("elsewhere.example", 67, true)) << "a server of this host";
}

TEST_F(UseBuilderTest, BoundsWhatItKeeps) {
  Request request;
  request.method = std::string(1000, 'M');
  request.fields = {{"User-Agent", std::string(5000, 'u')},
                    {"X-Request-Id", std::string(5000, 'r')},
                    {"Authorization", "Bearer " + secret_}};
  Ask(request, 1);
  Tell(1, AnswerKind::kAnswered, 200, 1);
  ASSERT_EQ(uses_.all.size(), 1u);
  EXPECT_EQ(uses_.all[0].request->method.size(), 32u);
  EXPECT_EQ(uses_.all[0].request->user_agent.size(), 256u);
  EXPECT_EQ(uses_.all[0].request_id.size(), 128u);
}

TEST_F(UseBuilderTest, SaysSinceWhenItWaits) {
  EXPECT_EQ(builder_.WaitingSince(), absl::InfiniteFuture());
  for (uint64_t exchange = 1; exchange <= 3; ++exchange) {
    Request request = Request::FromSample("Authorization: Bearer " + secret_);
    request.head.mono_ns = exchange * 1'000'000'000;
    Ask(std::move(request), exchange);
  }
  Ask(Request(), 4);
  EXPECT_EQ(builder_.waiting(), 3u);
  EXPECT_EQ(builder_.WaitingSince(), clock_.FromMonotonic(1'000'000'000));
  Tell(1, AnswerKind::kAnswered, 200, 0);
  EXPECT_EQ(builder_.waiting(), 2u);
  EXPECT_EQ(builder_.WaitingSince(), clock_.FromMonotonic(2'000'000'000));
}

}  // namespace
}  // namespace tokenwatch
