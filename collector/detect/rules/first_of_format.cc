#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"
#include "collector/detect/shown_names.h"

namespace tokenwatch::rules {

namespace {

constexpr Hour kLearnedHours = 7 * 24;

}  // namespace

// A kind of token that no machine of the fleet has used, while the fleet is well known.
void FirstOfFormat(const UseView& view, Reporter* reporter) {
  const std::string& format = view.use.row.context->format;
  if (view.features.format == 0 || format == "opaque") return;
  if (view.fleet.began() == 0 || view.format_since != view.hour ||
      view.hour - view.fleet.began() < kLearnedHours)
    return;
  if (view.profile.uses > 0 && !reporter->IsOpen()) return;
  reporter->Add({.confidence = 0.7,
                 .value = format,
                 .observed = UseText(view.use),
                 .normal = "no token of this format in the fleet"});
}
}  // namespace tokenwatch::rules
