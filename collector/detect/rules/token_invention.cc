#include "absl/strings/str_format.h"
#include "collector/detect/rules.h"
#include "collector/detect/shown_names.h"

namespace tokenwatch::rules {

namespace {

constexpr size_t kLeast = 12;
constexpr size_t kLeastOfNew = 50;
constexpr uint32_t kLeastRefused = 5;
constexpr double kRefusedShare = 0.8;
constexpr Hour kLearnedHours = 24, kKnownFleetHours = 72;
constexpr double kOverPeak = 4;

}  // namespace

// A workload that comes with ever new tokens makes them up, or tries those of others.
void TokenInvention(const UseView& view, Reporter* reporter) {
  const SharedProfile& workload = view.workload;
  const size_t tokens = workload.hour_tokens.size();
  if (view.late || workload.hour != view.hour || view.profile.uses > 0) return;
  // Whoever is refused with all of them did not get them from those who give them out.
  const bool refused = workload.hour_refused >= kLeastRefused &&
                       workload.hour_refused >= kRefusedShare * static_cast<double>(tokens);
  if (view.hour - workload.began < kLearnedHours && !refused) {
    // All of a new service's tokens are new; so many of them are not one service's.
    const bool known_fleet = view.hour - view.fleet.began() > kKnownFleetHours;
    if (!known_fleet || tokens < kLeastOfNew) return;
  }
  if (!refused && tokens < kLeast) return;
  if (static_cast<double>(tokens) < kOverPeak * workload.token_peak) return;
  reporter->Add(
      {.confidence = 0.85,
       .value = ShownName(view.use, Dimension::kWorkload),
       .of_workload = true,
       .observed = absl::StrFormat("%d tokens within an hour that nobody had used before", tokens),
       .normal = absl::StrFormat("at most %.0f in an hour", workload.token_peak)});
}
}  // namespace tokenwatch::rules
