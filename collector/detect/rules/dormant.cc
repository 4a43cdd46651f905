#include "absl/strings/str_cat.h"
#include "collector/detect/rules.h"
#include "collector/detect/shown_names.h"
#include "collector/detect/spans.h"

namespace tokenwatch::rules {

// Unused for longer than a rule of the policy allows.
void Dormant(const QuietView& view, Reporter* reporter) {
  const absl::Duration quiet = absl::Microseconds(view.time_us - view.profile.last_us);
  for (const PolicyRule& rule : view.policy.rules()) {
    if (!rule.dormant_after.has_value() || quiet <= *rule.dormant_after) continue;
    if (!rule.Concerns(view.subject, view.owner)) continue;
    return reporter->Add(
        {.confidence = 0.99,
         .observed = absl::StrCat("no use for ", SpanText(quiet), "; the last was ",
                                  view.profile.newest == nullptr ? std::string("not kept")
                                                                 : UseText(*view.profile.newest)),
         .normal = absl::StrCat("a use within ", SpanText(*rule.dormant_after),
                                ", as the policy's ", rule.id, " (", rule.where, ") says"),
         .policy_rule = rule.id,
         .subject = absl::StrCat("No use for ", SpanText(quiet))});
  }
}
}  // namespace tokenwatch::rules
