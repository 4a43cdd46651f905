#include "absl/strings/str_format.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

// Unused for longer than a rule of the policy allows.
void Dormant(const QuietView& view, Reporter* reporter) {
  const absl::Duration quiet = absl::Microseconds(view.time_us - view.profile.last_us);
  for (const PolicyRule& rule : view.policy.rules()) {
    if (!rule.dormant_after.has_value() || quiet <= *rule.dormant_after) continue;
    if (!rule.Concerns(view.subject, view.owner)) continue;
    return reporter->Add(
        {.confidence = 0.99,
         .observed = absl::StrFormat("no use for %.1f days", absl::ToDoubleHours(quiet) / 24),
         .normal = absl::StrFormat("a use every %.1f days at least",
                                   absl::ToDoubleHours(*rule.dormant_after) / 24),
         .policy_rule = rule.id});
  }
}
}  // namespace tokenwatch::rules
