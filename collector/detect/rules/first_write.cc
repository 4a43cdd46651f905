#include "absl/strings/str_format.h"
#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"
#include "collector/detect/shown_names.h"

namespace tokenwatch::rules {

namespace {

constexpr uint64_t kLeastReads = 120;
constexpr uint32_t kLeastDays = 6;

}  // namespace

void FirstWrite(const UseView& view, Reporter* reporter) {
  if (!view.features.writes) return;
  const Profile& profile = view.profile;
  const bool first =
      !profile.wrote && profile.uses >= kLeastReads && profile.active_days >= kLeastDays;
  if (first && view.New(Dimension::kResource).siblings) return;
  if (!first && !reporter->IsOpen()) return;
  reporter->Add({.confidence = 0.9,
                 .value = view.use.row.context->method,
                 .observed = UseText(view.use),
                 .normal = absl::StrFormat("%d uses that only read", profile.uses)});
}
}  // namespace tokenwatch::rules
