#include <algorithm>

#include "absl/strings/str_cat.h"
#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

namespace {

constexpr Hour kLearnedHours = 7 * 24;
constexpr uint64_t kLearnedUses = 200;
constexpr uint32_t kLeastAlone = 4;  // uses
constexpr double kRareAlone = 0.3;

}  // namespace

// Where a host's name leads, over the whole fleet: one token alone sees little of it. Content
// networks and clouds take new addresses into use all the time, and then other machines reach them
// as well: what one machine alone reaches, while others reach what was known, is news.
void NewDestination(const UseView& view, Reporter* reporter) {
  const Novelty& novelty = view.New(Dimension::kPeer);
  const SharedProfile& host = view.host;
  if (novelty.word == 0 || (!novelty.is_new && !view.peer_since_today)) return;
  if (view.hour - host.began < kLearnedHours || host.uses < kLearnedUses) return;
  const SeenSet& peers = host.seen[Dimension::kPeer];
  if (novelty.is_new) {
    // One that was a finding is no place that the host has.
    const auto known = std::count_if(peers.values().begin(), peers.values().end(),
                                     [](const SeenValue& value) { return !value.suspect; });
    if (known > 1 || novelty.per_day > kRarePerDay) return;
  } else if (!novelty.again || !reporter->IsOpen()) {
    const SeenValue* const value = peers.Find(novelty.word);
    if (value == nullptr || value->only != view.machine || value->uses < kLeastAlone) return;
    const bool others =
        std::any_of(peers.values().begin(), peers.values().end(), [&](const SeenValue& other) {
          return other.first < value->first && other.last >= value->first &&
                 other.only != view.machine;
        });
    if (!others || novelty.per_day > kRareAlone) return;
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
