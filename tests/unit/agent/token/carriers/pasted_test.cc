#include "agent/token/carriers/pasted.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/escaping.h"
#include "agent/token/carriers/carriers.h"
#include "agent/token/carriers/extract.h"
#include "tests/unit/agent/token/made_up.h"

namespace tokenwatch {
namespace {

TEST(PastedTest, OneSecretIsTakenHoweverItIsPasted) {
  const std::string s = "made-up/Secret+0123456789==";
  const std::string basic = "Basic " + absl::Base64Escape("user:" + s);
  struct Case {
    std::string text, taken;
  };
  const Case cases[] = {
      {s, ""},
      {" " + s + " \r\n", ""},
      {"\"" + s + "\"", ""},
      {"'" + s + "'\n", ""},
      {"Bearer " + s, "the secret in authorization/bearer"},
      {"Token " + s + "\n", "the secret in authorization/token"},
      {"Authorization: Bearer " + s + "\n", "the secret in authorization/bearer"},
      {"authorization:bearer " + s, "the secret in authorization/bearer"},
      {"'Authorization: Bearer " + s + "'", "the secret in authorization/bearer"},
      {"-H \"Authorization: Bearer " + s + "\"", "the secret in authorization/bearer"},
      {"Authorization: " + s, "the secret in authorization"},
      {"Authorization: Vendor " + s, "the secret in authorization/vendor"},
      {"Authorization: " + basic, "the secret in authorization/basic"},
      {"Proxy-Authorization: " + basic, "the secret in proxy-authorization/basic"},
      {basic, "the secret in authorization/basic"},
      {"x-api-key: " + s, "the secret in header/x-api-key"},
      {"X-API-Key: \"" + s + "\"\n", "the secret in header/x-api-key"},
      {"PRIVATE-TOKEN:" + s, "the secret in header/private-token"},
      {"https://api.test/v1?a=1&key=" + s, "the secret in query/key"},
      {"KEY=" + s, "the value of KEY"},
      {"export KEY=\"" + s + "\"\n", "the value of KEY"},
      {"export  api_key_2='" + s + "'", "the value of api_key_2"},
      {"AUTH='Bearer " + s + "'", "the value of AUTH"},
      {"AUTH=\"" + basic + "\"", "the value of AUTH"},
  };
  for (const Case& c : cases) {
    const absl::StatusOr<Pasted> pasted = ReadPasted(c.text);
    ASSERT_TRUE(pasted.ok()) << c.text << ": " << pasted.status();
    EXPECT_EQ(pasted->secret.view(), s) << c.text;
    EXPECT_EQ(pasted->taken, c.taken) << c.text;
  }
}

TEST(PastedTest, TokensThatLookLikeAssignmentsStayWhole) {
  for (const std::string text : {"bWFkZS11cA==", "made_up=", "a.b=c", "1abc=d", "-x=y", "ab=="}) {
    const absl::StatusOr<Pasted> pasted = ReadPasted(text);
    ASSERT_TRUE(pasted.ok()) << pasted.status();
    EXPECT_EQ(pasted->secret.view(), text);
    EXPECT_EQ(pasted->taken, "");
  }
  const absl::StatusOr<Pasted> quoted = ReadPasted("\"made=up\"");
  ASSERT_TRUE(quoted.ok()) << quoted.status();
  EXPECT_EQ(quoted->secret.view(), "made=up");
}

// Knows what MadeUp(32) makes.
class FakeShapes : public SecretShapes {
 public:
  bool IsSelfIdentifying(std::string_view value) const override {
    return value.size() == 32 && value.find_first_not_of(kBase62) == std::string_view::npos;
  }
};

TEST(PastedTest, AnyCarrierOfTheTableIsTakenApart) {
  const FakeShapes shapes;
  for (const CarrierRow& row : Carriers()) {
    for (const std::string_view sample : row.carries) {
      // Of several cookies it is not certain which is meant.
      const bool several = row.kind == CarrierKind::kCookie && sample.find(';') != sample.npos;
      if (sample.empty() || several) continue;
      const std::string secret = MadeUp(32);
      std::string text = Expand(sample, secret, MadeUp(8));
      if (text.starts_with("/")) {
        // Functions have that path at any host.
        text.insert(0, "https://h.example");
      }
      const absl::StatusOr<Pasted> pasted = ReadPasted(text, &shapes);
      ASSERT_TRUE(pasted.ok()) << sample << ": " << pasted.status();
      EXPECT_EQ(pasted->secret.view(), secret) << sample;
      EXPECT_TRUE(pasted->taken.starts_with("the secret in " + std::string(row.shown)))
          << sample << ": " << pasted->taken;
    }
  }
}

TEST(PastedTest, PathsAndUserinfoOfUrlsAreTakenApart) {
  const std::string s = MadeUp(32);
  const struct {
    std::string text, secret, taken;
  } cases[] = {
      {"https://hooks.slack.com/services/T0123ABCD/B0123ABCD/" + s, "T0123ABCD/B0123ABCD/" + s,
       "the secret in path"},
      {"https://api.telegram.org/bot123456789:" + s + "/getMe", "123456789:" + s,
       "the secret in path"},
      {"https://x-access-token:" + s + "@github.com/o/r.git", s, "the secret in userinfo"},
      {"wss://h.example/?access_token=" + s, s, "the secret in query/access_token"},
      {"REMOTE=https://" + s + ":@h.example/", s, "the value of REMOTE"},
      {"-H 'Cookie: any=" + s + "'", s, "the secret in cookie/any"},
  };
  for (const auto& test : cases) {
    const absl::StatusOr<Pasted> pasted = ReadPasted(test.text);
    ASSERT_TRUE(pasted.ok()) << test.text << ": " << pasted.status();
    EXPECT_EQ(pasted->secret.view(), test.secret) << test.text;
    EXPECT_EQ(pasted->taken, test.taken) << test.text;
  }
  // Without knowledge of formats a field without a row stays what it was.
  EXPECT_FALSE(ReadPasted("X-Frob: " + s).ok());
}

TEST(PastedTest, WhatIsUncertainIsRefusedByName) {
  const std::string s = "MadeUpSecret";
  struct Case {
    std::string text, named;
  };
  const Case cases[] = {
      {"", "no secret"},
      {"\"\"", "no secret"},
      {s + " " + s, "a blank"},
      {"X-Other: " + s, "a blank"},
      {"export " + s, "a blank"},
      {"KEY=" + s + " curl", "a blank"},
      {"KEY = " + s, "a blank"},
      {s + "\n" + s, "a line end"},
      {"Authorization: Bearer " + s + "\nAccept: */*", "a line end"},
      {"KEY=" + s + "\nOTHER=" + s, "a line end"},
      {"\"" + s, "a quote"},
      {s + "\x01", "0x01"},
      {s + "\xe2\x80\x8b", "outside of ASCII"},
      {"Authorization: Bearer", "no secret"},
      {"Authorization: Negotiate " + s, "a single request"},
      {"Authorization: Bearer " + s + ", Token X" + s, "several secrets"},
      {"https://api.test/" + s, "no secret"},
      {"KEY=\"\"", "empty"},
      {"x-api-key: " + std::string(kSecretMax + 1, 'x'), "too long"},
  };
  for (const Case& c : cases) {
    const absl::StatusOr<Pasted> pasted = ReadPasted(c.text);
    EXPECT_TRUE(absl::IsInvalidArgument(pasted.status())) << c.text << ": " << pasted.status();
    EXPECT_NE(pasted.status().message().find(c.named), std::string::npos)
        << c.text << ": " << pasted.status();
    EXPECT_EQ(pasted.status().message().find(s), std::string::npos) << c.text;
  }
}

}  // namespace
}  // namespace tokenwatch
