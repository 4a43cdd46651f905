#include "agent/token/identity/claim_text.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/agent/token/made_up.h"

namespace tokenwatch {
namespace {

bool IsToken(std::string_view text) {
  return (text.starts_with("tok_") && text.size() == 24) || text == "a:b/c.d?e";
}

TEST(ShownClaim, LeavesOutWhatHoldsAToken) {
  const std::string token = "tok_" + MadeUp(20);
  for (const std::string& claim :
       {token, "repo:" + token, "a." + token, "https://h.example/" + token + "/x",
        "h.example/?access_token=" + token, token + "@clients", "x=" + token + ";y",
        std::string("a:b/c.d?e"), "eyJhbGciOiJub25lIn0." + MadeUp(600), "/a%2f" + token,
        "a%3D" + token}) {
    EXPECT_EQ(ShownClaim(claim, IsToken), "") << claim;
  }
}

TEST(ShownClaim, TakesUrlsApart) {
  const struct {
    const char *claim, *shown;
  } cases[] = {
      {"", ""},
      {"https://h.example", "https://h.example"},
      {"https://h.example/a/b", "https://h.example/a/b"},
      {"https://h.example/?key=x", "https://h.example/"},
      {"https://h.example#x", "https://h.example"},
      {"https://h.example/a?access_token=tok_", "https://h.example/a"},
      {"https://bob:secret@h.example/a", "https://h.example/a"},
      {"//bob@h.example", "//h.example"},
      {"spiffe://acme.example/ns/shop", "spiffe://acme.example/ns/shop"},
      {"api://5f0c7b1e/.default", "api://5f0c7b1e/.default"},
      {"repo:acme/shop:ref:refs/heads/main?", "repo:acme/shop:ref:refs/heads/main?"},
      {"https://", "https://"},
      {"a//", "a//"},
      {"https://hooks.slack.com/services/T0123ABCD/B0123ABCD/abcdefghijklmnop12345678",
       "https://hooks.slack.com/services/{secret}"},
  };
  for (const auto& test : cases) EXPECT_EQ(ShownClaim(test.claim, IsToken), test.shown);
}

}  // namespace
}  // namespace tokenwatch
