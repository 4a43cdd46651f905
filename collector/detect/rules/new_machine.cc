#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

namespace {

// A machine that joined the fleet within two days is one more of those that were there.
constexpr Hour kYoungMachineHours = 48;

}  // namespace

// Pods and containers move; what runs on a machine by itself does not. On a machine that is new in
// the fleet, in a network that is not, it is a larger or repaired fleet.
void NewMachine(const UseView& view, Reporter* reporter) {
  if (view.features.contained || view.New(Dimension::kMachine).siblings) return;
  const bool young = view.hour - view.machine_since <= kYoungMachineHours;
  const bool known_network =
      !view.New(Dimension::kSource).is_new && view.hour - view.network_since > kYoungMachineHours;
  if (young && known_network && !view.New(Dimension::kMachine).again) return;
  ReportNew(view, Dimension::kMachine, "a machine", reporter);
}
}  // namespace tokenwatch::rules
