#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"
#include "collector/detect/shown_names.h"
#include "collector/detect/spans.h"

namespace tokenwatch::rules {

namespace {

constexpr int64_t kGraceMicros = int64_t{60} * 1'000'000;
constexpr uint32_t kLeastRefused = 5;
constexpr int64_t kLeastMicros = int64_t{600} * 1'000'000;
constexpr size_t kTroubled = 2;

}  // namespace

// It was told as revoked; or its server, which took it for days, takes it no more.
void RevokedUsed(const UseView& view, Reporter* reporter) {
  const Profile& profile = view.profile;
  if (profile.revoked_us != 0 && view.time_us > profile.revoked_us + kGraceMicros) {
    const bool accepted = view.outcome == Outcome::kOk;
    const absl::Duration since = absl::Microseconds(view.time_us - profile.revoked_us);
    return reporter->Add(
        {.confidence = 0.95,
         .observed = absl::StrCat(accepted ? "accepted " : "used ", SpanText(since),
                                  " after it was revoked: ", UseText(view.use)),
         .normal = "no use of a revoked token",
         .severity = accepted ? 1 : 0,
         .subject = accepted ? "Accepted" : "Not accepted"});
  }
  if (view.late || profile.refused < kLeastRefused || view.outcome != Outcome::kDenied) return;
  if (view.time_us - profile.refused_since_us < kLeastMicros) return;
  if (!IsMature(view) || 2 * profile.denied > profile.uses) return;
  if (view.fleet.OthersDenied(profile.provider, view.features.service) >= kTroubled) return;
  reporter->Add(
      {.confidence = 0.75,
       .observed = absl::StrFormat("%d answers 401 one after another and no other; now %s",
                                   profile.refused, UseText(view.use)),
       .normal = absl::StrFormat("%d uses, %d of them refused", profile.uses, profile.denied),
       .subject = absl::StrCat(profile.refused, " answers 401 and no other")});
}
}  // namespace tokenwatch::rules
