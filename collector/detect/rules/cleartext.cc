#include "absl/strings/str_cat.h"
#include "collector/detect/rules.h"
#include "collector/detect/shown_names.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch::rules {

void Cleartext(const UseView& view, Reporter* reporter) {
  if (!view.HasTrait(v1::USE_TRAIT_CLEARTEXT)) return;
  const std::string host = view.Text(view.features.host);
  reporter->Add({.confidence = 0.95,
                 .value = host,
                 .observed = absl::StrCat("sent in clear: ", UseText(view.use)),
                 .normal = "TLS, or the same machine"});
}
}  // namespace tokenwatch::rules
