#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

namespace {

constexpr Hour kFleetDay = 24;
constexpr Hour kLearnedFleetHours = 7 * 24;

// A person's machine that was in several networks before.
bool Roams(const UseView& view) {
  if (view.features.habitat != Habitat::kSession) return false;
  const std::vector<SeenValue>& networks = view.profile.seen[Dimension::kSource].values();
  return std::count_if(networks.begin(), networks.end(),
                       [](const SeenValue& value) { return !value.suspect; }) > 1;
}

}  // namespace

// The network that the machine is in. Within a network that the token is used from, a part of it
// counts as new where the whole fleet was never seen there.
void NewSource(const UseView& view, Reporter* reporter) {
  const Novelty& wide = view.New(Dimension::kSource);
  const Novelty& near = view.New(Dimension::kSourceNear);
  if (wide.word == 0) return;
  if (wide.is_new || wide.again) {
    if (wide.siblings) return;
    // A machine that is known roams; into a network that the fleet knows, that is no news.
    const bool known_to_all = view.hour - view.network_since > kFleetDay;
    const bool known_machine = !view.New(Dimension::kMachine).is_new;
    if (wide.is_new && known_machine && (known_to_all || Roams(view))) return;
    return ReportNew(view, Dimension::kSource, "a network", reporter);
  }
  const bool unknown_to_all = view.hour - view.network_since < kFleetDay &&
                              view.hour - view.fleet.began() > kLearnedFleetHours &&
                              view.hour - view.machine_since < kFleetDay;
  if (near.again || (unknown_to_all && !near.siblings)) {
    ReportNew(view, Dimension::kSourceNear, "a network", reporter);
  }
}
}  // namespace tokenwatch::rules
