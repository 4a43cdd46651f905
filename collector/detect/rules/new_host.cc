#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

void NewHost(const UseView& view, Reporter* reporter) {
  if (view.New(Dimension::kHost).siblings || IsAfterRelease(view)) return;
  ReportNew(view, Dimension::kHost, "a host", reporter);
}
}  // namespace tokenwatch::rules
