#include "absl/strings/str_cat.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

// Only where the policy says who owns tokens at all.
void Unmapped(const UseView& view, Reporter* reporter) {
  if (view.policy.owners().empty() || view.owner != nullptr) return;
  reporter->Add({.confidence = 0.99,
                 .value = view.Text(view.features.service),
                 .observed = absl::StrCat("used by ", view.Text(view.features.service)),
                 .normal = "an owner in the policy"});
}
}  // namespace tokenwatch::rules
