#include "collector/detect/novelty.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace tokenwatch {
namespace {

constexpr uint64_t kLeastUses = 20;
constexpr uint32_t kLeastDays = 3;
constexpr size_t kShown = 4;
constexpr Hour kReleaseHours = 24, kInstanceHours = 3, kMoveHours = 48;

}  // namespace

bool IsMature(const UseView& view) {
  return view.profile.uses >= kLeastUses && view.profile.active_days >= kLeastDays;
}

bool IsSurprising(const UseView& view, Dimension dimension) {
  const Novelty& novelty = view.New(dimension);
  return novelty.is_new && novelty.per_day <= kRarePerDay && IsMature(view);
}

double ConfidenceOf(const UseView& view, Dimension dimension) {
  return std::clamp(1 - 4 * view.New(dimension).per_day, 0.5, 0.99);
}

std::string Usual(const UseView& view, Dimension dimension) {
  std::vector<SeenValue> values = view.profile.seen[dimension].values();
  std::erase_if(values, [](const SeenValue& value) { return value.suspect; });
  if (values.empty()) return "none";
  const size_t shown = std::min(values.size(), kShown);
  std::partial_sort(values.begin(), values.begin() + static_cast<ptrdiff_t>(shown), values.end(),
                    [](const SeenValue& a, const SeenValue& b) { return a.uses > b.uses; });
  std::vector<std::string> texts;
  for (size_t i = 0; i < shown; ++i) {
    texts.push_back(values[i].word == 0 ? "(none)" : view.Text(values[i].word));
  }
  std::string text = absl::StrJoin(texts, ", ");
  if (values.size() > shown) absl::StrAppend(&text, " and ", values.size() - shown, " more");
  return text;
}

bool IsAfterRelease(const UseView& view) {
  const SharedProfile& workload = view.workload;
  return workload.deployed != 0 && view.hour - workload.deployed <= kReleaseHours;
}

bool IsMove(const UseView& view) {
  const Novelty& service = view.New(Dimension::kService);
  if (!service.is_new || view.hour - view.workload.began > kMoveHours) return false;
  const auto name_in = [](std::string_view text) {
    const size_t slash = text.find('/');
    return slash == std::string_view::npos ? std::string_view() : text.substr(slash + 1);
  };
  const std::string_view name = name_in(view.words.Text(service.word));
  const std::vector<SeenValue>& before = view.profile.seen[Dimension::kService].values();
  return !name.empty() && std::any_of(before.begin(), before.end(), [&](const SeenValue& value) {
    return !value.suspect && name_in(view.words.Text(value.word)) == name;
  });
}

bool IsNewInstance(const UseView& view) {
  const SharedProfile& workload = view.workload;
  const bool comes_and_goes =
      workload.seen[Dimension::kInstance].NewPerDay(workload.began, view.hour) > 1;
  return !comes_and_goes && view.hour - view.instance_since <= kInstanceHours;
}

void ReportNew(const UseView& view, Dimension dimension, std::string_view what,
               Reporter* reporter) {
  const Novelty& novelty = view.New(dimension);
  const bool more = novelty.again && reporter->IsOpen();
  if (!more && !IsSurprising(view, dimension)) return;
  const std::string value = novelty.word == 0 ? "(none)" : view.Text(novelty.word);
  const std::string shown(what);
  reporter->Add({.confidence = ConfidenceOf(view, dimension),
                 .value = value,
                 .observed = absl::StrCat(shown, " that it was never used with: ", value),
                 .normal = absl::StrFormat("%s; a new one in %.0f days", Usual(view, dimension),
                                           1 / std::max(novelty.per_day, 0.001))});
}

}  // namespace tokenwatch
