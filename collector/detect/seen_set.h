// The values that uses had in one dimension, and how often new ones are to be expected.
#ifndef TOKENWATCH_COLLECTOR_DETECT_SEEN_SET_H_
#define TOKENWATCH_COLLECTOR_DETECT_SEEN_SET_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "collector/detect/words.h"

namespace tokenwatch {

// Hours since the epoch.
using Hour = int32_t;

struct SeenValue {
  Word word = 0;
  Hour first = 0, last = 0;
  uint32_t uses = 0;  // stays at its greatest number
  // Of a baseline that several tokens share: the only one that had it, as a hash; 0: several.
  uint32_t only = 0;
  bool suspect = false;  // its first use was a finding, or is counted as odd
};

// Bounded: the value that was unused for longest gives way.
class SeenSet {
 public:
  explicit SeenSet(size_t most = 256) : most_(most) {}

  const SeenValue* Find(Word word) const;
  bool Has(Word word) const { return Find(word) != nullptr; }
  bool empty() const { return values_.empty(); }
  size_t size() const { return values_.size(); }

  // Counts uses of a value and returns it; valid until the next call.
  SeenValue& Count(Word word, Hour hour, uint64_t uses, uint32_t by = 0);

  // How many new values a day are to be expected at `now` of something that is known since `began`:
  // those that came in the last two weeks, the first day left out, and half of one. Suspect values
  // are none for three days: what an intruder did makes the next step no more normal. Above 1 where
  // little is known, or where values gave way, so that what looks new may not be.
  double NewPerDay(Hour began, Hour now) const;
  // Share of uses that were a value's only one: the chance that the next use brings a new value
  // (Good and Turing's estimate).
  double NewPerUse() const;

  // Forgets values unused since then.
  void Forget(Hour before);

  const std::vector<SeenValue>& values() const { return values_; }
  void Restore(const SeenValue& value) { values_.push_back(value); }
  Hour overflowed() const { return overflowed_; }
  void set_overflowed(Hour hour) { overflowed_ = hour; }

 private:
  size_t most_;
  Hour overflowed_ = 0;                    // when a value gave way last; 0: never
  mutable std::vector<SeenValue> values_;  // those used often move to the front
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_SEEN_SET_H_
