#include "absl/strings/str_cat.h"
#include "collector/detect/rules.h"
#include "collector/detect/shown_names.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch::rules {

// Some providers document the query as the place of their keys: there it is news only of a token
// that travelled otherwise before.
void InQuery(const UseView& view, Reporter* reporter) {
  if (!view.HasTrait(v1::USE_TRAIT_IN_QUERY)) return;
  const bool documented = view.use.row.context->format.starts_with("google");
  if (documented && !view.profile.in_header && !reporter->IsOpen()) return;
  const std::string host = view.Text(view.features.host);
  reporter->Add(
      {.confidence = 0.95,
       .value = host,
       .observed = absl::StrCat("within the URL, which is logged on its way: ", UseText(view.use)),
       .normal = view.profile.in_header ? "a header" : "no other use"});
}
}  // namespace tokenwatch::rules
