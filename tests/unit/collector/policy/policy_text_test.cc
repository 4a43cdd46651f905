#include "collector/policy/policy_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tokenwatch {
namespace {

TEST(PolicyText, SaysWhatRowsSay) {
  std::vector<std::string> problems;
  const auto policy = Policy::Parse(
      "owners:\n"
      "- {owner: a, match: {namespace: payments, workload: [x, 'y*']}}\n"
      "- {owner: b}\n"
      "rules:\n"
      "- {id: one, match: {format: [github_*, npm], owner: a}, max-age: 90d, rotate-within: 36h,\n"
      "   dormant-after: 90m, allow: {hosts: [api.a.example, b.example], resources: ['GET a/*'],\n"
      "   methods: [get], workloads: runner, networks: 10.0.0.0/8, sources: '::1',\n"
      "   hours: {days: sat, from: '22:00', to: '06:00', time-zone: UTC}}}\n"
      "- {id: two, max-age: 1d}\n",
      "p", &problems);
  ASSERT_NE(policy, nullptr) << problems[0];
  EXPECT_EQ(MatchText(policy->owners()[0].match), "{namespace: payments, workload: [x, y*]}");
  EXPECT_EQ(MatchText(policy->owners()[1].match), "{}");
  EXPECT_EQ(RuleText(policy->rules()[0]),
            "format github_* or npm, owner a: at most 90d old; rotated within 36h; dormant after "
            "90m; hosts api.a.example, b.example; resources GET a/*; methods GET; workloads "
            "runner; hours sat 22:00-06:00 UTC; networks 10.0.0.0/8; sources ::1");
  EXPECT_EQ(RuleText(policy->rules()[1]), "every use: at most 1d old");
}

}  // namespace
}  // namespace tokenwatch
