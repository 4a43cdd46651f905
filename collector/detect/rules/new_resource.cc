#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

namespace {

constexpr double kRarePerUse = 0.005, kRareEver = 0.08;

}  // namespace

// A new release asks for new things, so a single one is odd only where none came.
void NewResource(const UseView& view, Reporter* reporter) {
  const Novelty& novelty = view.New(Dimension::kResource);
  if (!novelty.is_new && !novelty.again) return;
  if (novelty.is_new) {
    if (novelty.siblings) return;
    if (view.profile.seen[Dimension::kResource].NewPerUse() > kRarePerUse) return;
    if (novelty.per_day > kRareEver || IsAfterRelease(view) || IsNewInstance(view)) return;
  }
  ReportNew(view, Dimension::kResource, "a resource", reporter);
}
}  // namespace tokenwatch::rules
