#include "collector/detect/novelty.h"
#include "collector/detect/rules.h"

namespace tokenwatch::rules {

void NewSourceCountry(const UseView& view, Reporter* reporter) {
  const Novelty& novelty = view.New(Dimension::kSourceCountry);
  if (novelty.word == 0 || novelty.siblings) return;
  ReportNew(view, Dimension::kSourceCountry, "a country to be used from", reporter);
}
}  // namespace tokenwatch::rules
