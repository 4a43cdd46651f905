#include "agent/token/answers/www_authenticate.h"

#include <gtest/gtest.h>

#include <string>

namespace tokenwatch {
namespace {

// "Scheme name=value name=value | Scheme"
std::string Text(std::string_view field) {
  std::string text;
  for (const Challenge& challenge : ParseChallenges(field)) {
    if (!text.empty()) text += " | ";
    text += challenge.scheme;
    for (const Challenge::Parameter& parameter : challenge.parameters) {
      text.append(" ").append(parameter.name).append("=");
      text += challenge.Value(parameter.name, 64);
    }
  }
  return text;
}

TEST(ParseChallenges, ReadsTheGrammarAndWhatIsSentInstead) {
  const struct {
    std::string_view field, text;
  } cases[] = {
      {"", ""},
      {" , ,, ", ""},
      {"Basic", "Basic"},
      {"Basic realm=\"x\"", "Basic realm=x"},
      {"Bearer realm=\"a\", error=\"invalid_token\"", "Bearer realm=a error=invalid_token"},
      {"Bearer error=invalid_token", "Bearer error=invalid_token"},
      // RFC 9110 section 11.6.1.
      {"Basic realm=\"simple\", Newauth realm=\"apps\", type=1, title=\"Login to \\\"apps\\\"\"",
       "Basic realm=simple | Newauth realm=apps type=1 title=Login to \"apps\""},
      {"Negotiate, NTLM, Basic realm=\"x\"", "Negotiate | NTLM | Basic realm=x"},
      {"Negotiate oYIBgzCC/+AX==, Basic realm=x", "Negotiate | Basic realm=x"},
      {"Negotiate abc, Basic realm=x", "Negotiate | Basic realm=x"},
      {"Negotiate abc=, Basic realm=x", "Negotiate | Basic realm=x"},
      {"Negotiate a/b, Basic realm=x", "Negotiate | Basic realm=x"},
      {"Bearer realm = \"a\" ,\terror\t=\tb", "Bearer realm=a error=b"},
      {"Bearer realm=\"a, Basic realm=b\", error=c", "Bearer realm=a, Basic realm=b error=c"},
      {"Bearer realm=\"a\\\\\", error=c", "Bearer realm=a\\ error=c"},
      {"Bearer realm=\"never closed, error=c", "Bearer realm=never closed, error=c"},
      {"Bearer realm=\"x\\", "Bearer realm=x"},
      {"Bearer realm=\"a\" error=\"b\"", "Bearer realm=a error=b"},
      {"Bearer authorization_uri=https://as.example/t/x, error=e",
       "Bearer authorization_uri=https://as.example/t/x error=e"},
      {"realm=\"x\", Basic realm=y", "Basic realm=y"},
      {"@@@, Bearer error=e", "Bearer error=e"},
      {"Bearer (\"a,b\"), Basic realm=y", "Bearer | Basic realm=y"},
      {"Bearer error=", "Bearer"},
      {"Bearer =x, Basic realm=y", "Basic realm=y"},
      {"Bearer error=\"\"", "Bearer error="},
  };
  for (const auto& [field, text] : cases) EXPECT_EQ(Text(field), text) << field;
}

TEST(ParseChallenges, IsBounded) {
  std::string many;
  for (int i = 0; i < 100; ++i) many += "Basic realm=x, ";
  EXPECT_EQ(ParseChallenges(many).size(), 16u);
  std::string one = "Bearer ";
  for (int i = 0; i < 100; ++i) one += "a=b, ";
  const auto challenges = ParseChallenges(one + "a=c");
  ASSERT_EQ(challenges.size(), 1u);
  EXPECT_EQ(challenges[0].parameters.size(), 16u);
}

TEST(Challenge, GivesTheFirstOfAName) {
  const auto challenges = ParseChallenges("Bearer ERROR=a, error=b, scope=\"0123456789\"");
  ASSERT_EQ(challenges.size(), 1u);
  EXPECT_EQ(challenges[0].Value("error", 8), "a");
  EXPECT_EQ(challenges[0].Value("scope", 4), "0123");
  EXPECT_EQ(challenges[0].Value("realm", 4), "");
}

}  // namespace
}  // namespace tokenwatch
