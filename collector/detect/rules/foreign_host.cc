#include "absl/strings/str_cat.h"
#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch::rules {

void ForeignHost(const UseView& view, Reporter* reporter) {
  if (!view.HasTrait(v1::USE_TRAIT_FOREIGN_HOST)) return;
  const std::string host = view.Text(view.features.host);
  reporter->Add({.confidence = 0.9,
                 .value = host,
                 .observed = absl::StrCat("sent to ", host, ", which is not its provider's"),
                 .normal = Usual(view, Dimension::kHost)});
}
}  // namespace tokenwatch::rules
