#include "absl/strings/str_format.h"
#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

namespace {

constexpr uint32_t kLeastNew = 8;
constexpr size_t kLeast = 12;
constexpr double kOverPeak = 2, kOverExpected = 3;

}  // namespace

// Distinct resources within an hour, most of them new: somebody looks around.
void ResourceBurst(const UseView& view, Reporter* reporter) {
  const Profile& profile = view.profile;
  if (view.late || !IsMature(view) || !view.New(Dimension::kResource).is_new) return;
  const size_t distinct = profile.hour_resources.size();
  if (profile.hour_new_resources < kLeastNew || distinct < kLeast) return;
  if (static_cast<double>(distinct) < kOverPeak * profile.resource_peak) return;
  const double expected =
      profile.seen[Dimension::kResource].NewPerUse() * static_cast<double>(profile.hour_uses);
  if (profile.hour_new_resources < kLeastNew + kOverExpected * expected) return;
  reporter->Add(
      {.confidence = 0.9,
       .observed = absl::StrFormat("%d resources within an hour, %d of them never before", distinct,
                                   profile.hour_new_resources),
       .normal = absl::StrFormat("at most %.0f in an hour, %d in all", profile.resource_peak,
                                 profile.seen[Dimension::kResource].size())});
}
}  // namespace tokenwatch::rules
