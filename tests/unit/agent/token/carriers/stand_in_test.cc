#include "agent/token/carriers/stand_in.h"

#include <gtest/gtest.h>

#include <string>

namespace tokenwatch {
namespace {

TEST(StandIn, IsNoSecret) {
  for (const std::string_view text :
       {"undefined", "null", "None", "nil", "[object Object]", "${API_TOKEN}", "${TOKEN:-none}",
        "$GITHUB_TOKEN", "$(cat /run/token)", "{{ token }}", "{{token}}", "<token>", "<YOUR TOKEN>",
        "%TOKEN%", "@@token@@", "****", "xxxxxxxx"}) {
    EXPECT_TRUE(IsStandIn(text)) << text;
  }
}

TEST(StandIn, IsNotAnythingElse) {
  for (const std::string_view text :
       {"", "x", "nullable", "none-of-it", "$2b$12$abcdefghijklmnopqrstuv", "$9LIVES", "{token}",
        "<a,b>", "xxxxxxxy", "tokens", "token", "aaaaaaaa", "${a}b", "p$SSWORD"}) {
    EXPECT_FALSE(IsStandIn(text)) << text;
  }
  EXPECT_FALSE(IsStandIn(std::string(200, '0'))) << "longer than what people type";
}

}  // namespace
}  // namespace tokenwatch
