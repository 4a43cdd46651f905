#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

// A release may bring another client library: then the instance that uses it is new, too. The same
// instance with another one, or another program, is somebody's hands.
void NewUserAgent(const UseView& view, Reporter* reporter) {
  const Novelty& novelty = view.New(Dimension::kAgent);
  if (!novelty.is_new && !novelty.again) return;
  if (novelty.is_new) {
    if (novelty.siblings) return;
    const bool same_program = !view.New(Dimension::kWorkload).is_new;
    const bool new_instance = view.New(Dimension::kInstance).is_new;
    // An instance from before a release is not of it.
    const bool released = IsAfterRelease(view) && view.instance_since + 1 >= view.workload.deployed;
    if (same_program && (new_instance || released)) return;
    // So does one in another language.
    const bool same_service = !view.New(Dimension::kService).is_new;
    if (view.features.contained && same_service && new_instance) return;
  }
  ReportNew(view, Dimension::kAgent, "a client", reporter);
}
}  // namespace tokenwatch::rules
