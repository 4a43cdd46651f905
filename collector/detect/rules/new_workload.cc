#include "absl/strings/str_cat.h"
#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

void NewWorkload(const UseView& view, Reporter* reporter) {
  // A runner's or an image's tools: its other tokens are used by this one as well.
  if (view.New(Dimension::kWorkload).siblings && !view.New(Dimension::kService).is_new) return;
  if (IsMove(view) && IsMature(view)) {
    return reporter->Add({.confidence = 0.6,
                          .value = view.Text(view.features.service),
                          .of_workload = true,
                          .observed = absl::StrCat("used by ", view.Text(view.features.service),
                                                   ", a service that is new in the fleet"),
                          .normal = Usual(view, Dimension::kService)});
  }
  ReportNew(view, Dimension::kWorkload, "a workload", reporter);
}
}  // namespace tokenwatch::rules
