#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"
#include "collector/detect/shown_names.h"

namespace tokenwatch::rules {

namespace {

constexpr uint32_t kLeast = 6, kLeastUnknown = 20;
constexpr double kShare = 0.4;
constexpr double kOverPeak = 3;
constexpr size_t kTroubled = 2;  // other workloads that the same provider refuses

// What was before these ten minutes, which have the use itself already.
std::string Before(const UseView& view) {
  const Profile& profile = view.profile;
  const uint64_t uses =
      profile.uses + view.uses - std::min(profile.uses + view.uses, uint64_t{profile.answers});
  const uint64_t denied =
      profile.denied + view.uses - std::min(profile.denied + view.uses, uint64_t{profile.denials});
  if (uses == 0) return "no use before these";
  return absl::StrCat(denied, " of the ", uses, " uses before were refused",
                      profile.denial_peak < 1
                          ? ""
                          : absl::StrFormat(", at most %.0f in ten minutes", profile.denial_peak));
}

}  // namespace

// In ten minutes, against the most that ten minutes had.
void DenialBurst(const UseView& view, Reporter* reporter) {
  if (view.late || view.outcome != Outcome::kDenied) return;
  const Profile& profile = view.profile;
  if (profile.denials < kLeast || profile.denials < kShare * profile.answers) return;
  if (!IsMature(view) && profile.denials < kLeastUnknown) return;
  if (profile.denials < kOverPeak * profile.denial_peak) return;
  if (view.fleet.OthersDenied(profile.provider, view.features.service) >= kTroubled) return;
  const std::string seen = absl::StrFormat("%d of %d requests in ten minutes were refused",
                                           profile.denials, profile.answers);
  reporter->Add({.confidence = profile.active_days >= 3 ? 0.9 : 0.7,
                 .observed = absl::StrCat(seen, "; now ", UseText(view.use), ", answered ",
                                          view.use.row.status),
                 .normal = Before(view),
                 .subject = seen});
}
}  // namespace tokenwatch::rules
