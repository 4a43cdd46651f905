#include <algorithm>

#include "absl/strings/str_cat.h"
#include "collector/detect/rules.h"
#include "collector/detect/shown_names.h"
#include "collector/detect/spans.h"

namespace tokenwatch::rules {

namespace {

constexpr double kLeastDays = 10, kLeastPersonalDays = 21;
constexpr double kOverLongest = 3;
constexpr uint64_t kLeastUses = 5;
constexpr uint32_t kLeastActive = 4;  // days

}  // namespace

// Used again after a silence far longer than any before; people have holidays.
void DormantRevived(const UseView& view, Reporter* reporter) {
  if (view.late || view.profile.uses < kLeastUses) return;
  if (view.profile.active_days < kLeastActive) return;
  const double day = static_cast<double>(kMicrosPerDay);
  const double quiet = static_cast<double>(view.quiet_us) / day;
  const double longest = static_cast<double>(view.profile.longest_gap_us) / day;
  bool revived = quiet >= kLeastDays && quiet >= kOverLongest * longest;
  if (revived && quiet < kLeastPersonalDays && view.profile.week != nullptr) {
    revived =
        !IsPersonal(view.features.habitat, ShapeOf(*view.profile.week, view.profile.active_days));
  }
  if (!revived && !reporter->IsOpen()) return;
  const absl::Duration silence = absl::Microseconds(view.quiet_us);
  reporter->Add(
      {.confidence = 0.9,
       .observed = absl::StrCat("used after ", SpanText(silence), ": ", UseText(view.use)),
       .normal = absl::StrCat("at most ", SpanText(absl::Microseconds(view.profile.longest_gap_us)),
                              " without a use"),
       .subject = absl::StrCat("Used after ", SpanText(silence))});
}
}  // namespace tokenwatch::rules
