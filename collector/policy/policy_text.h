// What a policy says, as a person reads it.
#ifndef TOKENWATCH_COLLECTOR_POLICY_POLICY_TEXT_H_
#define TOKENWATCH_COLLECTOR_POLICY_POLICY_TEXT_H_

#include <string>

#include "collector/policy/policy.h"

namespace tokenwatch {

// As YAML has it in one line: "{namespace: payments, workload: [a, b]}"; "{}" is about every use.
std::string MatchText(const Match& match);

// What a rule asks for, of what: "format github_*, owner platform: at most 90d old; hosts
// api.github.com".
std::string RuleText(const PolicyRule& rule);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_POLICY_POLICY_TEXT_H_
