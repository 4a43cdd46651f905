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
  SecretWindows windows;
  windows.Add(MadeUp(30));
  ASSERT_EQ(windows.Add(secret), 1u);
  for (size_t at = 0; at + 12 <= secret.size(); ++at) {
    const std::string part = secret.substr(at, 12);
    EXPECT_TRUE(windows.MayOccurIn(1, part)) << at;
    EXPECT_TRUE(windows.MayOccurIn(1, "/a." + part + "x")) << at;
    EXPECT_TRUE(windows.MayOccurIn(1, Percent(part))) << at;
    for (const char* before : {"", "x", "xy"}) {
      EXPECT_TRUE(windows.MayOccurIn(1, "k=" + UrlBase64(before + part + "zz"))) << at;
      EXPECT_TRUE(windows.MayOccurIn(1, Base64(before + part))) << at;
    }
  }
}

TEST(SecretWindows, LetsOrdinaryTextsPass) {
  size_t found = 0;
  for (int i = 0; i < 2000; ++i) {
    SecretWindows windows;
    windows.Add(MadeUp(40));
    for (const char* text : {"repo", "read:org", "invalid_token", "5000 per 3600 s (core)",
                             "https://idp.example/.well-known/oauth-protected-resource",
                             "5f0c7b1e-2a3d-4c5b-8e9f-0a1b2c3d4e5f"}) {
      found += windows.AnyMayOccurIn(text) ? 1 : 0;
    }
  }
  EXPECT_LT(found, 12000 / 50u);
}

TEST(SecretWindows, Bounds) {
  SecretWindows windows;
  EXPECT_FALSE(windows.AnyMayOccurIn("anything"));
  windows.Add("admin");
  EXPECT_FALSE(windows.AnyMayOccurIn("admin is a word"));
  windows.Add("pass-word");
  EXPECT_TRUE(windows.MayOccurIn(1, "pass-word"));
  EXPECT_FALSE(windows.MayOccurIn(0, "pass-word"));
  windows.Add(MadeUp(SecretWindows::kLongest + 1));
  EXPECT_TRUE(windows.MayOccurIn(2, "of twelve or more"));
  EXPECT_FALSE(windows.MayOccurIn(2, "read"));
  windows.Clear();
  EXPECT_EQ(windows.size(), 0u);
  EXPECT_FALSE(windows.AnyMayOccurIn("pass-word"));
  EXPECT_EQ(windows.Add("pass-word"), 0u);
  EXPECT_TRUE(windows.AnyMayOccurIn("pass-word"));
}

}  // namespace
}  // namespace tokenwatch
