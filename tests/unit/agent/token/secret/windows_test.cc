#include "agent/token/secret/windows.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/escaping.h"
#include "tests/unit/agent/token/made_up.h"

namespace tokenwatch {
namespace {

std::string Percent(const std::string& text) {
  std::string out;
  for (const char c : text) out += "%" + absl::BytesToHexString(std::string(1, c));
  return out;
}

TEST(SecretWindows, FindsEveryPartOfTwelveBytes) {
  const std::string secret = MadeUp(61);
  const SecretWindows windows(secret);
  for (size_t at = 0; at + 12 <= secret.size(); ++at) {
    const std::string part = secret.substr(at, 12);
    EXPECT_TRUE(windows.MayOccurIn(part)) << at;
    EXPECT_TRUE(windows.MayOccurIn("/a." + part + "x")) << at;
    EXPECT_TRUE(windows.MayOccurIn(Percent(part))) << at;
    for (const char* before : {"", "x", "xy"}) {
      EXPECT_TRUE(windows.MayOccurIn("k=" + UrlBase64(before + part + "zz"))) << at;
      EXPECT_TRUE(windows.MayOccurIn(Base64(before + part))) << at;
    }
  }
}

TEST(SecretWindows, LetsOrdinaryTextsPass) {
  size_t found = 0;
  for (int i = 0; i < 2000; ++i) {
    const SecretWindows windows(MadeUp(40));
    for (const char* text : {"repo", "read:org", "invalid_token", "5000 per 3600 s (core)",
                             "https://idp.example/.well-known/oauth-protected-resource",
                             "5f0c7b1e-2a3d-4c5b-8e9f-0a1b2c3d4e5f"}) {
      found += windows.MayOccurIn(text) ? 1 : 0;
    }
  }
  EXPECT_LT(found, 12000 / 50u);
}

TEST(SecretWindows, Bounds) {
  EXPECT_FALSE(SecretWindows("admin").MayOccurIn("admin is a word"));
  EXPECT_FALSE(SecretWindows().MayOccurIn("anything"));
  EXPECT_TRUE(SecretWindows("pass-word").MayOccurIn("pass-word"));
  const SecretWindows longest(MadeUp(SecretWindows::kLongest + 1));
  EXPECT_TRUE(longest.MayOccurIn("of twelve or more"));
  EXPECT_FALSE(longest.MayOccurIn("read"));
}

}  // namespace
}  // namespace tokenwatch
