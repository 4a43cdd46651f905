// The ids of the rules of detection: what findings, filters, suppressions and routes name.
// collector/detect/rules.cc says what each rule does, and does not compile where it has others.
#ifndef TOKENWATCH_COLLECTOR_STORE_DETECTION_RULES_H_
#define TOKENWATCH_COLLECTOR_STORE_DETECTION_RULES_H_

#include <algorithm>
#include <iterator>
#include <string_view>

namespace tokenwatch {

// Sorted.
inline constexpr std::string_view kDetectionRules[] = {
    "cleartext",
    "denial_burst",
    "dormant",
    "dormant_revived",
    "expired_used",
    "first_of_format",
    "first_write",
    "foreign_host",
    "in_query",
    "new_destination",
    "new_destination_country",
    "new_host",
    "new_machine",
    "new_resource",
    "new_source",
    "new_source_country",
    "new_user_agent",
    "new_workload",
    "off_hours",
    "over_age",
    "policy_violation",
    "resource_burst",
    "revoked_used",
    "scope_change",
    "shared_token",
    "slow_probing",
    "token_invention",
    "unmapped",
    "volume_drop",
    "volume_spike",
};

constexpr bool IsDetectionRule(std::string_view id) {
  return std::any_of(std::begin(kDetectionRules), std::end(kDetectionRules),
                     [id](std::string_view rule) { return rule == id; });
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_DETECTION_RULES_H_
