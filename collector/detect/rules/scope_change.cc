#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/common/facts.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

// A token's scopes are told together, one fact each, with every answer that names them: one that is
// not among those known is a change. What was taken away is harmless.
void ScopeChange(const FactView& view, Reporter* reporter) {
  if (view.name != fact::kScope || !view.profile.scopes_known) return;
  const std::vector<std::string>& known = view.profile.scopes;
  if (std::binary_search(known.begin(), known.end(), std::string(view.value))) return;
  const std::string scope(view.value);
  reporter->Add({.confidence = 0.95,
                 .value = scope,
                 .observed = absl::StrCat("the scope ", scope, " was added"),
                 .normal = absl::StrJoin(known, " ")});
}
}  // namespace tokenwatch::rules
