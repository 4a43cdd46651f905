#include "absl/strings/str_cat.h"
#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

namespace {

constexpr Hour kLearnedHours = 7 * 24;
constexpr uint64_t kLearnedUses = 200;

}  // namespace

void NewDestinationCountry(const UseView& view, Reporter* reporter) {
  const Novelty& novelty = view.New(Dimension::kPeerCountry);
  if (novelty.word == 0) return;
  const SharedProfile& host = view.host;
  const bool again = novelty.again && reporter->IsOpen();
  if (!again) {
    const bool learned = view.hour - host.began >= kLearnedHours && host.uses >= kLearnedUses;
    if (!novelty.is_new || !learned || novelty.per_day > kRarePerDay) return;
  }
  reporter->Add(
      {.confidence = 0.8,
       .value = view.Text(novelty.word),
       .observed = absl::StrCat(view.Text(view.features.host), " in ", view.Text(novelty.word)),
       .normal = absl::StrCat(host.seen[Dimension::kPeerCountry].size(),
                              " other countries over the whole fleet")});
}
}  // namespace tokenwatch::rules
