#include "absl/strings/str_cat.h"
#include "collector/detect/rules.h"
#include "collector/detect/shown_names.h"

namespace tokenwatch::rules {

// Only where the policy says who owns tokens at all.
void Unmapped(const UseView& view, Reporter* reporter) {
  if (view.policy.owners().empty() || view.owner != nullptr) return;
  reporter->Add({.confidence = 0.99,
                 .value = ShownName(view.use, Dimension::kService),
                 .observed = UseText(view.use),
                 .normal = "an owner in the policy"});
}
}  // namespace tokenwatch::rules
