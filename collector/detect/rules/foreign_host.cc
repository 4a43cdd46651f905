#include "absl/strings/str_cat.h"
#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"
#include "collector/detect/shown_names.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch::rules {

void ForeignHost(const UseView& view, Reporter* reporter) {
  if (!view.HasTrait(v1::USE_TRAIT_FOREIGN_HOST)) return;
  const std::string host = view.Text(view.features.host);
  const std::string& provider = view.use.row.context->provider;
  reporter->Add({.confidence = 0.9,
                 .value = host,
                 .observed = UseText(view.use),
                 .normal = absl::StrCat("hosts of ", provider.empty() ? "its provider" : provider,
                                        "; so far ", Usual(view, Dimension::kHost))});
}
}  // namespace tokenwatch::rules
