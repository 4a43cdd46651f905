#include "absl/strings/str_cat.h"
#include "collector/detect/rules.h"
#include "collector/detect/spans.h"

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
    const bool rotate = most == rule.rotate_within;
    return reporter->Add(
        {.confidence = view.profile.issued_us != 0 ? 0.99 : 0.9,
         .observed = absl::StrCat(
             SpanText(age), view.profile.issued_us != 0 ? " since it was issued, " : " in use, ",
             SpanText(age - most), rotate ? " after it was to be rotated" : " too old"),
         .normal = absl::StrCat(rotate ? "rotated within " : "at most ", SpanText(most),
                                ", as the policy's ", rule.id, " (", rule.where, ") says"),
         .policy_rule = rule.id,
         .summary = rotate ? absl::StrCat("a token not rotated within the ", SpanText(most),
                                          " that the policy's ", rule.id, " gives")
                           : absl::StrCat("a token older than the ", SpanText(most),
                                          " that the policy's ", rule.id, " allows"),
         .subject = absl::StrCat(SpanText(age), " old")});
  }
}
}  // namespace tokenwatch::rules
