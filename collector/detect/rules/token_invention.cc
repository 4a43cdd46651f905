#include "absl/strings/str_format.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

namespace {

constexpr size_t kLeast = 12;
constexpr size_t kLeastOfNew = 50;
constexpr Hour kLearnedHours = 24, kKnownFleetHours = 72;
constexpr double kOverPeak = 4;

}  // namespace

// A workload that comes with ever new tokens makes them up, or tries those of others.
void TokenInvention(const UseView& view, Reporter* reporter) {
  const SharedProfile& workload = view.workload;
  const size_t tokens = workload.hour_tokens.size();
  if (view.hour - workload.began < kLearnedHours) {
    // All of a new service's tokens are new; so many of them are not one service's.
    const bool known_fleet = view.hour - view.fleet.began() > kKnownFleetHours;
    if (!known_fleet || tokens < kLeastOfNew) return;
  }
  if (view.late || workload.hour != view.hour || tokens < kLeast) return;
  if (static_cast<double>(tokens) < kOverPeak * workload.token_peak) return;
  if (view.profile.uses > 0) return;
  reporter->Add(
      {.confidence = 0.85,
       .value = view.Text(view.features.workload),
       .of_workload = true,
       .observed = absl::StrFormat("%d tokens within an hour that nobody had used before", tokens),
       .normal = absl::StrFormat("at most %.0f in an hour", workload.token_peak)});
}
}  // namespace tokenwatch::rules
