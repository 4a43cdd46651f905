#include <algorithm>

#include "absl/strings/str_cat.h"
#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

namespace {

constexpr Hour kLearnedHours = 7 * 24;
constexpr uint64_t kLearnedUses = 200;

}  // namespace

// Where a host's name leads, over the whole fleet: one token alone sees little of it. A host whose
// addresses change, as those of a content network do, has no norm.
void NewDestination(const UseView& view, Reporter* reporter) {
  const Novelty& novelty = view.New(Dimension::kPeer);
  if (novelty.word == 0) return;
  const SharedProfile& host = view.host;
  const bool again = novelty.again && reporter->IsOpen();
  if (!again) {
    const bool learned = view.hour - host.began >= kLearnedHours && host.uses >= kLearnedUses;
    if (!novelty.is_new || !learned || novelty.per_day > kRarePerDay) return;
  }
  reporter->Add({.confidence = std::clamp(1 - 4 * novelty.per_day, 0.5, 0.95),
                 .value = view.Text(novelty.word),
                 .observed = absl::StrCat(view.Text(view.features.host), " at ",
                                          view.use.row.context->peer_address,
                                          ", in a network where it never was"),
                 .normal = absl::StrCat(host.seen[Dimension::kPeer].size(),
                                        " networks over the whole fleet")});
}
}  // namespace tokenwatch::rules
