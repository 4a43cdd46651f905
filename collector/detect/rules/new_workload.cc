#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

void NewWorkload(const UseView& view, Reporter* reporter) {
  ReportNew(view, Dimension::kWorkload, "a workload", reporter);
}
}  // namespace tokenwatch::rules
