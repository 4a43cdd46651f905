#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

void NewWorkload(const UseView& view, Reporter* reporter) {
  // A runner's or an image's tools: its other tokens are used by this one as well.
  if (view.New(Dimension::kWorkload).siblings && !view.New(Dimension::kService).is_new) return;
  ReportNew(view, Dimension::kWorkload, "a workload", reporter);
}
}  // namespace tokenwatch::rules
