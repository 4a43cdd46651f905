#include "absl/strings/str_format.h"
#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

namespace {

constexpr int kRecent = 10, kBefore = 20;
constexpr int kLeastDays = 4;
constexpr int kMostADay = 100;

}  // namespace

// One or two odd uses a day, over days, none of them worth a finding: not the way of a program that
// is at work, if it was not so before.
void SlowProbing(const UseView& view, Reporter* reporter) {
  if (!view.odd || view.late) return;
  const auto day = static_cast<int32_t>(view.time_us / kMicrosPerDay);
  const OddDays& odd = view.profile.odd;
  const int recent = odd.Count(day - 1, kRecent - 1) + 1;  // with today
  if (recent < kLeastDays || odd.Worst(day, kRecent) > kMostADay || !IsMature(view)) return;
  const int before = odd.Count(day - kRecent, kBefore);
  const double watched =
      std::min<double>(kBefore, view.profile.HistoryDays(view.time_us) - kRecent);
  if (watched > 2 && before / watched > 0.1) return;
  if (watched <= 2 && view.profile.HistoryDays(view.time_us) < kRecent + 2) return;
  reporter->Add({.confidence = 0.7,
                 .observed = absl::StrFormat("odd uses on %d of the last %d days", recent, kRecent),
                 .normal = absl::StrFormat("odd uses on %d of %.0f days before", before,
                                           std::max(0.0, watched))});
}
}  // namespace tokenwatch::rules
