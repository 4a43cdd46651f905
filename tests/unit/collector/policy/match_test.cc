#include "collector/policy/match.h"

#include <gtest/gtest.h>

namespace tokenwatch {
namespace {

TEST(Glob, MatchesAndCovers) {
  const struct {
    const char *pattern, *text;
    bool matches;
  } cases[] = {
      {"a", "a", true},
      {"a", "b", false},
      {"*", "", true},
      {"*", "abc", true},
      {"a*c", "abbc", true},
      {"a*c", "abcd", false},
      {"*b*", "abc", true},
      {"?", "a", true},
      {"?", "", false},
      {"a?c", "abc", true},
      {"**", "x", true},
      {"a*b*c", "axxbyyc", true},
      {"github_*", "github_pat_classic", true},
      {"", "", true},
      {"*aab", "aaaaaaaaab", true},
  };
  for (const auto& one : cases) {
    EXPECT_EQ(GlobMatches(one.pattern, one.text), one.matches) << one.pattern << " " << one.text;
  }
  EXPECT_TRUE(GlobCovers("github_*", "github_pat_*"));
  EXPECT_FALSE(GlobCovers("github_pat_*", "github_*"));
  EXPECT_TRUE(GlobCovers("*", "a?b*"));
  EXPECT_TRUE(GlobCovers("a?", "a?"));
  EXPECT_FALSE(GlobCovers("a?", "a*"));
  EXPECT_FALSE(GlobCovers("a", "?"));
}

class MatchTest : public testing::Test {
 protected:
  MatchTest() {
    who_.set_exe("/usr/bin/python3.11");
    who_.set_script("/srv/job/migrate.py");
    who_.set_namespace_("payments");
    who_.set_pod("checkout-7f");
    who_.set_host("web-1");
    (*who_.mutable_labels())["team"] = "pay";
    subject_.workload = &who_;
    subject_.format = "github_pat_classic";
    subject_.token_id = "tok_1";
    subject_.host = "api.github.com";
    subject_.path = "/repos/{owner}/{repo}/issues";
    subject_.method = "GET";
  }
  static Match Of(std::initializer_list<Match::Condition> conditions) {
    Match match;
    for (const Match::Condition& condition : conditions) match.Add(condition);
    return match;
  }
  v1::Workload who_;
  PolicySubject subject_;
};

TEST_F(MatchTest, FitsByEachField) {
  using enum MatchField;
  const struct {
    Match match;
    bool fits;
  } cases[] = {
      {Of({}), true},
      {Of({{kWorkload, {"migrate.py"}}}), true},
      {Of({{kWorkload, {"payments/checkout-*"}}}), true},
      {Of({{kWorkload, {"other"}}}), false},
      {Of({{kNamespace, {"shop", "payments"}}}), true},
      {Of({{kNamespace, {"pay"}}}), false},
      {Of({{kPod, {"checkout-*"}}}), true},
      {Of({{kMachine, {"web-?"}}}), true},
      {Of({{kLabel, {"team=pay"}}}), true},
      {Of({{kLabel, {"team=*"}}}), true},
      {Of({{kLabel, {"tier=*"}}}), false},
      {Of({{kFormat, {"github_*"}}, {kPath, {"/repos/*"}}}), true},
      {Of({{kFormat, {"github_*"}}, {kPath, {"/orgs/*"}}}), false},
      {Of({{kToken, {"tok_1"}}}), true},
      {Of({{kHost, {"*.github.com"}}}), true},
      {Of({{kMethod, {"POST"}}}), false},
      // What is not known fits nothing, not even '*'.
      {Of({{kServiceAccount, {"*"}}}), false},
      {Of({{kUnit, {"*"}}}), false},
  };
  for (size_t i = 0; i < std::size(cases); ++i) {
    EXPECT_EQ(cases[i].match.Fits(subject_), cases[i].fits) << i;
  }
  EXPECT_FALSE(Of({{kNamespace, {"*"}}}).Fits(PolicySubject())) << "a token without a use";
}

TEST_F(MatchTest, Covers) {
  using enum MatchField;
  const Match all = Of({}), pay = Of({{kNamespace, {"pay*"}}});
  const Match narrow = Of({{kNamespace, {"payments"}}, {kFormat, {"github_*"}}});
  EXPECT_TRUE(all.Covers(pay));
  EXPECT_FALSE(pay.Covers(all));
  EXPECT_TRUE(pay.Covers(narrow));
  EXPECT_FALSE(narrow.Covers(pay));
  EXPECT_FALSE(pay.Covers(Of({{kNamespace, {"payments", "shop"}}})));
  EXPECT_FALSE(pay.Covers(Of({{kPod, {"pay*"}}})));
}

TEST(MatchField, HasANameEach) {
  for (const std::string_view name : MatchFieldNames()) {
    const std::optional<MatchField> field = MatchFieldByName(name);
    ASSERT_TRUE(field.has_value()) << name;
    EXPECT_EQ(MatchFieldNames()[static_cast<size_t>(*field)], name);
  }
  EXPECT_FALSE(MatchFieldByName("owner").has_value());
}

}  // namespace
}  // namespace tokenwatch
