#include "agent/token/secret/redact.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/unit/agent/token/made_up.h"

namespace tokenwatch {
namespace {

std::string Percent(std::string_view text, size_t every) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (i % every == 0) {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      out += text[i];
    }
  }
  return out;
}

// The ways in which a text can hold `bytes`.
std::vector<std::string> Wrappings(const std::string& bytes) {
  std::vector<std::string> out = {bytes, Percent(bytes, 1), Percent(bytes, 2), Percent(bytes, 5)};
  for (size_t before = 0; before < 3; ++before) {
    const std::string padded = MadeUp(before) + bytes + "??";
    out.push_back(absl::Base64Escape(padded));
    out.push_back(absl::WebSafeBase64Escape(padded));
    out.push_back(Percent(absl::Base64Escape(padded), 3));
  }
  return out;
}

// Of its base64 only the digits that `bytes` alone determine.
std::string Base64Core(const std::string& bytes, size_t before) {
  const size_t first = (before * 8 + 5) / 6;
  return absl::Base64Escape(MadeUp(before) + bytes + "??")
      .substr(first, (before + bytes.size()) * 8 / 6 - first);
}

TEST(SecretFinder, FindsEveryWindowInEveryWrapping) {
  for (const size_t length : {12u, 13u, 17u, 40u, 100u}) {
    const std::string secret = MadeUp(length - 3) + "\xfb\xff\n";
    const std::string_view secrets[] = {"unrelated-secret-0123456789", secret};
    const SecretFinder finder(secrets);
    for (size_t at = 0; at + SecretFinder::kWindow <= secret.size(); ++at) {
      const std::string window = secret.substr(at, SecretFinder::kWindow);
      std::vector<std::string> wrappings = Wrappings(window);
      for (size_t before = 0; before < 3; ++before) {
        wrappings.push_back(Base64Core(window, before));
      }
      for (const std::string& held : wrappings) {
        for (const std::string& text : {held, "a " + held, "/v1/" + held + "/x", "ab=" + held}) {
          EXPECT_TRUE(finder.Occurs(text)) << at << " of " << length << ": " << text;
          EXPECT_FALSE(finder.Occurs(SafeText(text, 500, finder))) << text;
        }
      }
    }
  }
}

TEST(SecretFinder, FindsShortSecretsAsAWhole) {
  const std::string_view secrets[] = {"hunter2-xy"};
  const SecretFinder finder(secrets);
  for (const std::string& held : Wrappings("hunter2-xy")) EXPECT_TRUE(finder.Occurs("a/" + held));
  EXPECT_FALSE(finder.Occurs("hunter2-x"));
  EXPECT_FALSE(finder.Occurs("unter2-xy"));
  const std::string_view words[] = {"admin", "x", ""};
  EXPECT_FALSE(SecretFinder(words).Occurs("/admin/x"));
}

TEST(SecretFinder, LeavesOtherTextAlone) {
  const std::string secret = MadeUp(40);
  const std::string_view secrets[] = {secret};
  const SecretFinder finder(secrets);
  for (int i = 0; i < 200; ++i) EXPECT_FALSE(finder.Occurs(MadeUp(300)));
  EXPECT_FALSE(finder.Occurs(secret.substr(0, 11) + "!" + secret.substr(11, 11)));
  EXPECT_FALSE(SecretFinder({}).Occurs(secret));
}

TEST(SecretFinder, TellsWhereASecretStands) {
  const std::string secret = MadeUp(24);
  const std::string_view secrets[] = {secret};
  const SecretFinder finder(secrets);
  const std::string text = "one " + secret + " two " + secret.substr(3, 15) + ".";
  const std::vector<Region> found = finder.Find(text);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(text.substr(found[0].begin, found[0].end - found[0].begin), secret);
  EXPECT_EQ(text.substr(found[1].begin, found[1].end - found[1].begin), secret.substr(3, 15));
}

TEST(SecretFinder, BoundsTheWorkOnRepetition) {
  const std::string secret(65536, 'a');
  const std::string_view secrets[] = {secret};
  const SecretFinder finder(secrets);
  EXPECT_TRUE(finder.Occurs(std::string(1000, 'a')));
  EXPECT_EQ(SafeText("x" + std::string(1000, 'a'), 2000, finder), "x{secret}");
}

TEST(SafeText, MakesEveryByteShowable) {
  const SecretFinder none({});
  const struct {
    std::string text, safe;
  } cases[] = {
      {"curl/8.5 (x)", "curl/8.5 (x)"},
      {std::string("\0\x1b[31m\x7f", 7), "%00%1B[31m%7F"},
      {"caf\xc3\xa9 \xff", "caf%C3%A9 %FF"},
      {"{secret} }{", "%7Bsecret%7D %7D%7B"},
      {"a\r\nb", "a%0D%0Ab"},
      {"100%", "100%"},
  };
  for (const auto& test : cases) EXPECT_EQ(SafeText(test.text, 100, none), test.safe);
}

TEST(SafeText, KeepsItsBoundAndItsEscapesWhole) {
  const std::string secret = MadeUp(24);
  const std::string_view secrets[] = {secret};
  const SecretFinder finder(secrets);
  const std::string text = "ab\x01 " + secret + "\xff end";
  for (size_t bound = 0; bound < 30; ++bound) {
    const std::string safe = SafeText(text, bound, finder);
    EXPECT_LE(safe.size(), bound);
    EXPECT_FALSE(finder.Occurs(safe));
    if (!safe.empty()) {
      EXPECT_TRUE(std::string("ab%01 {secret}%FF end").starts_with(safe)) << safe;
    }
  }
}

TEST(SafeText, HidesASecretThatTheMarksWouldPutTogether) {
  const std::string secret = "{secret}{secret}";
  const std::string other = MadeUp(24);
  const std::string_view secrets[] = {secret, other};
  const SecretFinder finder(secrets);
  EXPECT_EQ(SafeText(other + other, 100, finder), kSecretMark);
}

TEST(LooksLikeSecret, TellsChanceFromWords) {
  constexpr std::string_view kLower36 = "0123456789abcdefghijklmnopqrstuvwxyz";
  const struct {
    std::string_view alphabet;
    size_t length;
    int at_least;  // of 1000
  } chances[] = {
      {kBase62, 24, 980},
      {kBase62, 32, 990},
      {kBase62, 64, 995},
      {kLower36, 32, 980},
      {"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 32, 930},
      {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 43, 980},
  };
  for (const auto& chance : chances) {
    int seen = 0;
    for (int i = 0; i < 1000; ++i) seen += LooksLikeSecret(MadeUp(chance.length, chance.alphabet));
    EXPECT_GE(seen, chance.at_least) << chance.alphabet << " of " << chance.length;
  }
  for (const std::string_view words :
       {"getUserNotificationPreferences", "kubernetes-dashboard-certificates",
        "application_default_credentials", "generateContentStream",
        "nginx-deployment-66b6c48dd5-7kx2p", "my-team-service-account-eu-west-1",
        "ListFoundationModelAgreementOffers", "2024-05-01-preview-release-notes",
        "text-embedding-3-large-2024", "anthropic.claude-3-5-sonnet-20241022-v2",
        "chat-completions-with-attachments"}) {
    EXPECT_FALSE(LooksLikeSecret(words)) << words;
  }
}

}  // namespace
}  // namespace tokenwatch
