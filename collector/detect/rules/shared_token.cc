#include "absl/strings/str_cat.h"
#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"
#include "collector/detect/shown_names.h"

namespace tokenwatch::rules {

namespace {

constexpr size_t kManyServices = 4;
constexpr Hour kRecently = 7 * 24;

}  // namespace

// One token in several services: a service that joins later, in another namespace or under another
// name; or very many from the start.
void SharedToken(const UseView& view, Reporter* reporter) {
  const Novelty& service = view.New(Dimension::kService);
  const Novelty& name_space = view.New(Dimension::kNamespace);
  const SeenSet& services = view.profile.seen[Dimension::kService];
  if (!service.is_new) {
    if ((service.again || name_space.again) && reporter->IsOpen()) {
      reporter->Add({.confidence = 0.8,
                     .value = ShownName(view.use, Dimension::kService),
                     .observed = UseText(view.use),
                     .normal = Usual(view, Dimension::kService)});
    }
    return;
  }
  if (IsMove(view)) return;  // new_workload tells it
  size_t recent = 1;
  for (const SeenValue& value : services.values()) {
    if (view.hour - value.last <= kRecently) ++recent;
  }
  const bool joined = IsSurprising(view, Dimension::kService) && recent > 1;
  if (!joined && recent < kManyServices) return;
  reporter->Add({.confidence = joined ? 0.85 : 0.6,
                 .value = ShownName(view.use, Dimension::kService),
                 .observed = UseText(view.use),
                 .normal = Usual(view, Dimension::kService),
                 .severity = name_space.is_new && name_space.word != 0 ? 1 : 0});
}
}  // namespace tokenwatch::rules
