#include "collector/detect/novelty.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "collector/detect/features.h"
#include "collector/detect/shown_names.h"
#include "collector/detect/spans.h"

namespace tokenwatch {
namespace {

constexpr uint64_t kLeastUses = 20;
constexpr uint32_t kLeastDays = 3;
constexpr size_t kShown = 4;
constexpr Hour kReleaseHours = 24, kInstanceHours = 3, kMoveHours = 48;

// Of what was folded the newest use has one text; numbers in others may be any.
std::string KnownText(const UseView& view, Dimension dimension, Word word) {
  std::string text = view.Text(word);
  if (ShownName(view.use, dimension).empty()) return text;
  if (view.profile.newest != nullptr) {
    std::string newest = ShownName(*view.profile.newest, dimension);
    if (WithoutVersions(newest) == WithoutVersions(text)) return newest;
  }
  std::replace(text.begin(), text.end(), '#', '*');
  return text;
}

// How often a new one came; of a short history no more than that it has none.
std::string Frequency(const UseView& view, double per_day) {
  const double days = 1 / std::max(per_day, 0.001);
  if (days < view.profile.HistoryDays(view.time_us)) {
    return absl::StrFormat("about once in %.0f days", days);
  }
  return absl::StrCat("not once in ",
                      SpanText(absl::Microseconds(view.time_us - view.profile.first_us)));
}

// What the value alone does not say.
std::string Circumstances(const UseView& view, Dimension dimension) {
  std::string text = UseText(view.use);
  if (dimension == Dimension::kAgent) {
    absl::StrAppend(&text, " as ", view.use.row.context->user_agent);
  }
  return text;
}

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
    texts.push_back(values[i].word == 0 ? "(none)" : KnownText(view, dimension, values[i].word));
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
  std::string value = ShownName(view.use, dimension);
  if (value.empty()) value = novelty.word == 0 ? "(none)" : view.Text(novelty.word);
  reporter->Add({.confidence = ConfidenceOf(view, dimension),
                 .value = std::move(value),
                 .observed = Circumstances(view, dimension),
                 .normal = absl::StrCat(Usual(view, dimension), "; ",
                                        absl::string_view(what.data(), what.size()),
                                        " that is new, ", Frequency(view, novelty.per_day))});
}

}  // namespace tokenwatch
