#include "collector/detect/seen_set.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace tokenwatch {
namespace {

constexpr Hour kDay = 24;
constexpr Hour kWindow = 14 * kDay;
constexpr Hour kSuspect = 3 * kDay;

}  // namespace

const SeenValue* SeenSet::Find(Word word) const {
  for (size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].word != word) continue;
    if (i == 0) return &values_[0];
    std::swap(values_[i], values_[i - 1]);
    return &values_[i - 1];
  }
  return nullptr;
}

SeenValue& SeenSet::Count(Word word, Hour hour, uint64_t uses, uint32_t by) {
  auto* value = const_cast<SeenValue*>(Find(word));
  if (value == nullptr) {
    if (values_.size() >= most_) {
      const auto oldest =
          std::min_element(values_.begin(), values_.end(),
                           [](const SeenValue& a, const SeenValue& b) { return a.last < b.last; });
      values_.erase(oldest);
      overflowed_ = hour;
    }
    value = &values_.emplace_back(SeenValue{.word = word, .first = hour, .last = hour, .only = by});
  }
  value->first = std::min(value->first, hour);
  value->last = std::max(value->last, hour);
  constexpr uint64_t kMost = std::numeric_limits<uint32_t>::max();
  value->uses = static_cast<uint32_t>(std::min(kMost, value->uses + std::min(uses, kMost)));
  if (value->only != by) value->only = 0;
  return *value;
}

double SeenSet::NewPerDay(Hour began, Hour now) const {
  const Hour from = std::max(began + kDay, now - kWindow);
  const double days = static_cast<double>(now - from) / kDay;
  if (days < 1 || (overflowed_ != 0 && now - overflowed_ < kWindow)) return 2;
  const auto fresh = std::count_if(values_.begin(), values_.end(), [&](const SeenValue& value) {
    return value.first >= from && (!value.suspect || now - value.first > kSuspect);
  });
  return (static_cast<double>(fresh) + 0.5) / days;
}

double SeenSet::NewPerUse() const {
  uint64_t uses = 0, once = 0;
  for (const SeenValue& value : values_) {
    uses += value.uses;
    if (value.uses == 1 && !value.suspect) ++once;
  }
  return (static_cast<double>(once) + 0.5) / (static_cast<double>(uses) + 1);
}

void SeenSet::Forget(Hour before) {
  std::erase_if(values_, [before](const SeenValue& value) { return value.last < before; });
}

}  // namespace tokenwatch
