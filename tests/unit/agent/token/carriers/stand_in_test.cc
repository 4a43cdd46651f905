#include "agent/token/carriers/stand_in.h"

#include <gtest/gtest.h>

#include <string>

namespace tokenwatch {
namespace {

TEST(StandIn, IsNoSecret) {
  for (const std::string_view text : {"undefined",
                                      "null",
                                      "None",
                                      "nil",
                                      "[object Object]",
                                      "${API_TOKEN}",
                                      "${TOKEN:-none}",
                                      "$GITHUB_TOKEN",
                                      "$(cat /run/token)",
                                      "{{ token }}",
                                      "{{token}}",
                                      "<token>",
                                      "<YOUR TOKEN>",
                                      "%TOKEN%",
                                      "@@token@@",
                                      "****",
                                      "xxxxxxxx",
                                      "YOUR_API_KEY",
                                      "your-token-here",
                                      "your_github_token",
                                      "Your Access Token",
                                      "ACCESS_TOKEN",
                                      "api_key"}) {
    EXPECT_TRUE(IsStandIn(text)) << text;
  }
}

TEST(StandIn, IsNotAnythingElse) {
  for (const std::string_view text : {"",
                                      "x",
                                      "nullable",
                                      "none-of-it",
                                      "$2b$12$abcdefghijklmnopqrstuv",
                                      "$9LIVES",
                                      "{token}",
                                      "<a,b>",
                                      "xxxxxxxy",
                                      "tokens",
                                      "token",
                                      "aaaaaaaa",
                                      "${a}b",
                                      "p$SSWORD",
                                      "your",
                                      "your_",
                                      "yourself-token-x1",
                                      "your-dog-rex",
                                      "your_k3y",
                                      "yourtokens",
                                      "my_key"}) {
    EXPECT_FALSE(IsStandIn(text)) << text;
  }
  EXPECT_FALSE(IsStandIn(std::string(200, '0'))) << "longer than what people type";
}

TEST(StandIn, NamesAndNumbersArePlain) {
  for (const std::string_view text :
       {"title", "2", "1790000000000", "next-page-2", "users/42/name", "PageToken", "/config/foo",
        "false", "a.b_c:d, e", "CreatedAt", "version2"}) {
    EXPECT_TRUE(IsPlain(text)) << text;
  }
  for (const std::string_view text :
       {"9f86d081884c7d65", "AKIA0123456789ABCDEF", "q7Rz0b9Xw2KtLm3VhY5u", "ABCDEFGH", "a1b2c3d4",
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "title=", "abc+def", "x\xff", "12ab",
        "abcd1234567890", "12345678901234", "cafe123deadbee", "thequickbrownfoxjumpsover"}) {
    EXPECT_FALSE(IsPlain(text)) << text;
  }
}

}  // namespace
}  // namespace tokenwatch
