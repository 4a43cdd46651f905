#include "agent/token/jwt_formats.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/agent/token/made_up_jwt.h"

namespace tokenwatch {
namespace {

TEST(JwtFormats, EveryRowTakesItsSampleAndLeavesItsNearMiss) {
  std::set<std::string_view> formats;
  for (const JwtFormatRow& row : JwtFormatRows()) {
    SCOPED_TRACE(row.format);
    EXPECT_TRUE(formats.insert(row.format).second) << "twice";
    EXPECT_FALSE(row.provider.empty());
    if (row.header.empty()) continue;
    const std::optional<JwtFacts> is = ReadJwt(Jwt(row.header, row.payload), Masked);
    ASSERT_TRUE(is.has_value());
    EXPECT_EQ(is->payload, JwtFacts::Payload::kRead);
    EXPECT_EQ(FormatByClaims(*is), row.format);
    const std::optional<JwtFacts> other = ReadJwt(Jwt(row.other_header, row.other_payload), Masked);
    ASSERT_TRUE(other.has_value());
    EXPECT_EQ(other->payload, JwtFacts::Payload::kRead);
    EXPECT_EQ(FormatByClaims(*other), "jwt");
  }
}

TEST(JwtFormats, TellsEncryptedTokens) {
  const std::optional<JwtFacts> jwt =
      ReadJwt(Base64Url(R"({"alg":"dir","enc":"A256GCM"})") + "..aXY.Y2lwaGVy.dGFn", Masked);
  ASSERT_TRUE(jwt.has_value());
  EXPECT_EQ(FormatByClaims(*jwt), "jwe");
}

TEST(JwtFormats, KnowsTheOldTokensOfKubernetes) {
  const std::optional<JwtFacts> jwt = ReadJwt(
      Jwt(R"({"alg":"RS256"})",
          R"({"iss":"kubernetes/serviceaccount","kubernetes.io/serviceaccount/namespace":"shop",)"
          R"("kubernetes.io/serviceaccount/service-account.name":"cart"})"),
      Masked);
  ASSERT_TRUE(jwt.has_value());
  EXPECT_EQ(FormatByClaims(*jwt), "kubernetes_sa");
}

}  // namespace
}  // namespace tokenwatch
