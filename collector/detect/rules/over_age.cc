#include "absl/strings/str_format.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

namespace {

int64_t Born(const Profile& profile) {
  return profile.issued_us != 0 ? profile.issued_us : profile.first_us;
}

}  // namespace

// Older than a rule of the policy allows, or than it is to be rotated.
void OverAge(const UseView& view, Reporter* reporter) {
  if (view.policy.rules().empty()) return;
  const absl::Duration age = absl::Microseconds(view.time_us - Born(view.profile));
  for (const PolicyRule& rule : view.policy.rules()) {
    const absl::Duration most = std::min(rule.max_age.value_or(absl::InfiniteDuration()),
                                         rule.rotate_within.value_or(absl::InfiniteDuration()));
    if (age <= most || !rule.Concerns(view.subject, view.owner)) continue;
    return reporter->Add(
        {.confidence = view.profile.issued_us != 0 ? 0.99 : 0.9,
         .observed = absl::StrFormat("%.1f days old", absl::ToDoubleHours(age) / 24),
         .normal = absl::StrFormat("at most %.1f days", absl::ToDoubleHours(most) / 24),
         .policy_rule = rule.id});
  }
}
}  // namespace tokenwatch::rules
