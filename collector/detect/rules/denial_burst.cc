#include <algorithm>

#include "absl/strings/str_format.h"
#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

namespace {

constexpr uint32_t kLeast = 6, kLeastUnknown = 20;
constexpr double kShare = 0.4;
constexpr double kOverPeak = 3;
constexpr size_t kTroubled = 2;  // other workloads that the same provider refuses

}  // namespace

// In ten minutes, against the most that ten minutes had.
void DenialBurst(const UseView& view, Reporter* reporter) {
  if (view.late || view.outcome != Outcome::kDenied) return;
  const Profile& profile = view.profile;
  if (profile.denials < kLeast || profile.denials < kShare * profile.answers) return;
  if (!IsMature(view) && profile.denials < kLeastUnknown) return;
  if (profile.denials < kOverPeak * profile.denial_peak) return;
  if (view.fleet.OthersDenied(profile.provider, view.features.service) >= kTroubled) return;
  reporter->Add(
      {.confidence = profile.active_days >= 3 ? 0.9 : 0.7,
       .observed = absl::StrFormat("%d of %d requests in ten minutes were refused", profile.denials,
                                   profile.answers),
       .normal = absl::StrFormat("at most %.0f in ten minutes, %.2f %% of all", profile.denial_peak,
                                 100.0 * static_cast<double>(profile.denied) /
                                     static_cast<double>(std::max<uint64_t>(1, profile.uses)))});
}
}  // namespace tokenwatch::rules
