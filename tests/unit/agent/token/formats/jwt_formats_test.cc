#include "agent/token/formats/jwt_formats.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>

#include "tests/unit/agent/token/made_up_jwt.h"

namespace tokenwatch {
namespace {

JwtFacts Read(const std::string& token) {
  std::optional<JwtFacts> jwt = ReadJwt(token, Masked);
  EXPECT_TRUE(jwt.has_value()) << token;
  return jwt.has_value() ? std::move(*jwt) : JwtFacts();
}

TEST(JwtFormats, EveryRowTakesItsSampleAndLeavesItsNearMiss) {
  std::set<std::string_view> formats;
  for (const JwtFormatRow& row : JwtFormatRows()) {
    SCOPED_TRACE(row.format);
    EXPECT_TRUE(formats.insert(row.format).second) << "twice";
    EXPECT_FALSE(row.provider.empty());
    if (row.header.empty()) continue;
    const JwtFacts is = Read(Jwt(row.header, row.payload));
    EXPECT_EQ(is.payload, JwtFacts::Payload::kRead);
    EXPECT_EQ(FormatByClaims(is), row.format);
    const JwtFacts other = Read(Jwt(row.other_header, row.other_payload));
    EXPECT_EQ(other.payload, JwtFacts::Payload::kRead);
    EXPECT_EQ(FormatByClaims(other), "jwt");
  }
}

TEST(JwtFormats, TellsEncryptedTokens) {
  const JwtFacts jwt = Read(Base64Url(R"({"alg":"dir","enc":"A256GCM"})") + "..aXY.Y2lwaGVy.dGFn");
  EXPECT_EQ(FormatByClaims(jwt), "jwe");
}

TEST(JwtFormats, KnowsTheOldTokensOfKubernetes) {
  const JwtFacts jwt = Read(
      Jwt(R"({"alg":"RS256"})",
          R"({"iss":"kubernetes/serviceaccount","kubernetes.io/serviceaccount/namespace":"shop",)"
          R"("kubernetes.io/serviceaccount/service-account.name":"cart"})"));
  EXPECT_EQ(FormatByClaims(jwt), "kubernetes_sa");
}

}  // namespace
}  // namespace tokenwatch
