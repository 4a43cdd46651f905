#include "agent/token/identity/identity.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/agent/token/made_up_jwt.h"

namespace tokenwatch {
namespace {

bool NoToken(std::string_view /*text*/) { return false; }

class IdentifyTokenTest : public ::testing::Test {
 protected:
  static std::unique_ptr<Fingerprinter> Make(int keys) {
    std::vector<FleetKey> made;
    made.reserve(static_cast<size_t>(keys));
    for (int i = 0; i < keys; ++i) {
      made.push_back(
          *FleetKey::FromHex(std::string(2 * FleetKey::kBytes, static_cast<char>('5' + i))));
    }
    return *Fingerprinter::Create(made);
  }

  TokenIdentity Identify(std::string_view format, const std::string& secret) {
    return IdentifyToken(format, false, {secret, ""}, fingerprinter_.get(), Masked, NoToken);
  }

  static std::multimap<std::string_view, std::string> ByName(const TokenIdentity& identity) {
    std::multimap<std::string_view, std::string> facts;
    for (const TokenFact& fact : identity.facts) facts.emplace(fact.name, fact.value);
    return facts;
  }

  std::unique_ptr<Fingerprinter> fingerprinter_ = Make(2);
};

TEST_F(IdentifyTokenTest, TellsOfAJwt) {
  const std::string secret =
      Jwt(R"({"alg":"RS256","kid":"k1","typ":"at+jwt"})",
          R"({"iss":"https://as.example","sub":"ann","azp":"web","aud":["api","api","b"],)"
          R"("scope":"read write","exp":1769860800,"iat":1769857200,"jti":"j1","tid":"t1",)"
          R"("email":"ann@acme.example","cnf":{"jkt":"thumb","x5t#S256":"cert"},)"
          R"("token_use":"access"})");
  const TokenIdentity identity = Identify("jwt", secret);
  EXPECT_EQ(identity.format, "jwt");
  EXPECT_EQ(identity.expires, absl::FromUnixSeconds(1769860800) + kJwtLeeway);
  EXPECT_FALSE(identity.alg_none);
  auto facts = ByName(identity);
  EXPECT_EQ(facts.count(fact::kCredential), 2u);
  EXPECT_EQ(identity.facts[0].name, fact::kCredential);
  EXPECT_TRUE(identity.facts[0].value.starts_with("cred_"));
  EXPECT_EQ(identity.facts[0].value.size(), 5u + 26u);
  facts.erase(fact::kCredential);
  const std::multimap<std::string_view, std::string> expected = {
      {fact::kIssuer, "https://as.example"},
      {fact::kSubject, "<3>"},
      {fact::kClient, "web"},
      {fact::kTenant, "t1"},
      {fact::kOwner, "<16>"},
      {fact::kAlgorithm, "RS256"},
      {fact::kKeyId, "k1"},
      {fact::kJwtId, "j1"},
      {fact::kBoundTo, "dpop:thumb"},
      {fact::kBoundTo, "mtls:cert"},
      {fact::kIssuedAt, "2026-01-31T11:00:00Z"},
      {fact::kExpires, "2026-01-31T12:00:00Z"},
      {fact::kTokenType, "at+jwt"},
      {fact::kTokenType, "access"},
      {fact::kAudience, "api"},
      {fact::kAudience, "b"},
      {fact::kScope, "read"},
      {fact::kScope, "write"},
  };
  EXPECT_EQ(facts, expected);
}

TEST_F(IdentifyTokenTest, GivesRenewedTokensOneCredential) {
  const auto credential = [this](const std::string& payload) {
    const TokenIdentity identity = Identify("jwt", Jwt(R"({"alg":"RS256"})", payload));
    return identity.facts.front().value;
  };
  EXPECT_EQ(credential(R"({"iss":"i","sub":"s","exp":1769860800})"),
            credential(R"({"iss":"i","sub":"s","exp":1769864400})"));
  EXPECT_NE(credential(R"({"iss":"i","sub":"s"})"), credential(R"({"iss":"i","sub":"t"})"));
  EXPECT_NE(credential(R"({"iss":"i","sub":"s"})"), credential(R"({"iss":"j","sub":"s"})"));
  const TokenIdentity alone = Identify("jwt", Jwt(R"({"alg":"RS256"})", R"({"sub":"s"})"));
  EXPECT_EQ(ByName(alone).count(fact::kCredential), 0u);
}

TEST_F(IdentifyTokenTest, LetsAFormatThatIsKnownStand) {
  const std::string kubernetes =
      Jwt(R"({"alg":"RS256"})",
          R"({"iss":"k","kubernetes.io":{"namespace":"n","serviceaccount":{"name":"a"}}})");
  for (const std::string_view format : {"", "opaque", "jwt", "jwe"}) {
    EXPECT_EQ(Identify(format, kubernetes).format, "kubernetes_sa") << format;
    EXPECT_EQ(Identify(format, kubernetes).provider, "Kubernetes");
  }
  EXPECT_EQ(Identify("acme_token", kubernetes).format, "");
  EXPECT_EQ(ByName(Identify("acme_token", kubernetes)).count(fact::kNamespace), 1u);
}

TEST_F(IdentifyTokenTest, TellsPublicPartsOfOtherTokens) {
  const std::string key = MadeUp(22);
  const TokenIdentity identity = Identify("sendgrid", "SG." + key + "." + MadeUp(43));
  EXPECT_EQ(identity.format, "");
  EXPECT_FALSE(identity.expires.has_value());
  ASSERT_EQ(identity.facts.size(), 1u);
  EXPECT_EQ(identity.facts[0].value, key);
  EXPECT_TRUE(Identify("opaque", MadeUp(40)).facts.empty());
  EXPECT_TRUE(Identify("", "").facts.empty());
}

TEST_F(IdentifyTokenTest, ReadsCoinbasesKeyIds) {
  const auto facts = ByName(Identify(
      "jwt", Jwt(R"({"alg":"ES256","kid":"organizations/o-1/apiKeys/k-1"})", R"({"iss":"cdp"})")));
  EXPECT_EQ(facts.find(fact::kOrganization)->second, "o-1");
  EXPECT_EQ(facts.find(fact::kPublicId)->second, "k-1");
}

TEST_F(IdentifyTokenTest, FlagsTokensWithoutSignature) {
  EXPECT_TRUE(Identify("jwt", Jwt(R"({"alg":"none"})", R"({"iss":"i"})", "")).alg_none);
}

TEST_F(IdentifyTokenTest, HashesPersonsUnderThePrimaryKey) {
  const std::string hashed = HashedPerson(fingerprinter_.get(), "ann");
  EXPECT_TRUE(hashed.starts_with("usr_"));
  EXPECT_EQ(hashed.size(), 4u + 26u);
  EXPECT_EQ(hashed, HashedPerson(Make(1).get(), "ann"));
  EXPECT_NE(hashed, HashedPerson(fingerprinter_.get(), "bob"));
}

}  // namespace
}  // namespace tokenwatch
