#include "agent/token/carriers/cookie_rules.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "agent/token/carriers/carriers.h"
#include "agent/token/carriers/extract.h"
#include "tests/unit/agent/token/made_up.h"
#include "tests/unit/agent/token/request.h"

namespace tokenwatch {
namespace {

TEST(CookieRules, ComparesWithWildcards) {
  const struct {
    std::string_view pattern, text;
    bool matches;
  } cases[] = {{"sid", "sid", true},
               {"sid", "SID", false},
               {"sid", "sid2", false},
               {"sid*", "sid", true},
               {"sid*", "sid2", true},
               {"*sid", "asid", true},
               {"*sid", "asidsid", true},
               {"*sid", "asidx", false},
               {"a*b*c", "aXbXbXc", true},
               {"a*b*c", "aXcXb", false},
               {"*", "", true},
               {"*", "x", true},
               {"**", "x", true},
               {"", "", true},
               {"", "x", false},
               {"a*", "", false},
               {"__Host-*", "__Host-", true}};
  for (const auto& test : cases) {
    EXPECT_EQ(MatchesWildcard(test.pattern, test.text), test.matches)
        << test.pattern << " " << test.text;
  }
}

TEST(CookieRules, RefusesWhatIsNoName) {
  EXPECT_TRUE(CheckCookieRules({}).ok());
  EXPECT_TRUE(CheckCookieRules({"session", "my.sid", "_x-*"}).ok());
  const struct {
    std::string rule, named;
  } cases[] = {{"", "empty"},
               {"a=b", "a=b"},
               {"a b", "a b"},
               {"a;b", "a;b"},
               {std::string(65, 'x'), "longer than 64"}};
  for (const auto& test : cases) {
    const absl::Status status = CheckCookieRules({"sid", test.rule});
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_NE(status.message().find(test.named), std::string::npos) << status;
  }
  EXPECT_FALSE(CheckCookieRules(std::vector<std::string>(65, "a")).ok());
}

TEST(CookieRules, CookiesAreCredentialsOnlyWhereNamed) {
  const std::string a = MadeUp(24), b = MadeUp(24), c = MadeUp(24);
  Request request;
  request.fields = {{"Cookie", "theme=dark; sid=" + a + "; d=xoxd-x%2By; my_session=\"" + b +
                                   "\"; __Host-csrf=" + c}};
  EXPECT_TRUE(FindCredentials(request.Head()).credentials.empty());
  const struct {
    std::vector<std::string> rules;
    std::vector<std::pair<std::string, std::string>> wanted;
  } cases[] = {
      {{"nothing"}, {}},
      {{"session"}, {{"cookie/sid", a}, {"cookie/d", "xoxd-x+y"}}},
      {{"my_*"}, {{"cookie/my_session", b}}},
      {{"session", "my_*"},
       {{"cookie/sid", a}, {"cookie/d", "xoxd-x+y"}, {"cookie/my_session", b}}},
  };
  for (const auto& test : cases) {
    const Extraction found = FindCredentials(request.Head(), {test.rules, nullptr});
    ASSERT_EQ(found.credentials.size(), test.wanted.size());
    for (size_t i = 0; i < test.wanted.size(); ++i) {
      EXPECT_EQ(found.credentials[i].carrier, test.wanted[i].first);
      EXPECT_EQ(found.credentials[i].secret, test.wanted[i].second);
    }
  }
}

TEST(CookieRules, EverySessionCookieIsOne) {
  for (const SessionCookieRow& row : SessionCookies()) {
    std::string name(row.name);
    if (name.ends_with('*')) name.back() = 'x';
    EXPECT_TRUE(CookieIsNamed({"session"}, name, std::string(row.value_prefix) + "v")) << name;
    EXPECT_FALSE(CookieIsNamed({"session"}, "my" + name, std::string(row.value_prefix))) << name;
    if (!row.value_prefix.empty()) {
      EXPECT_FALSE(CookieIsNamed({"session"}, name, "v")) << name;
    }
  }
  for (const std::string_view name : {"theme", "_ga", "csrftoken", "__Host-csrf", "dx", ""}) {
    EXPECT_FALSE(CookieIsNamed({"session"}, name, "xoxd-v")) << name;
  }
}

TEST(CookieRules, ACutCookieIsUnresolved) {
  Request request;
  request.fields = {{"Cookie", "sid=a; session=b"}};
  request.head.cut = true;
  const Extraction found = FindCredentials(request.Head(), {{"session"}, nullptr});
  ASSERT_EQ(found.credentials.size(), 2u);
  EXPECT_FALSE(found.credentials[0].unresolved);
  EXPECT_TRUE(found.credentials[1].unresolved);
}

}  // namespace
}  // namespace tokenwatch
