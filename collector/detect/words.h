// Numbers for the texts that baselines know, so that a value costs four bytes wherever it is.
#ifndef TOKENWATCH_COLLECTOR_DETECT_WORDS_H_
#define TOKENWATCH_COLLECTOR_DETECT_WORDS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/node_hash_map.h"
#include "absl/functional/function_ref.h"

namespace tokenwatch {

using Word = uint32_t;  // 0: the empty text

// At most so many bytes of it, whole characters of UTF-8.
std::string_view CutText(std::string_view text, size_t most);

class Words {
 public:
  static constexpr size_t kTextMax = 256;  // bytes; what a longer text has beyond does not count

  Words() : texts_{std::string_view()} {}
  Words(const Words&) = delete;
  Words& operator=(const Words&) = delete;

  Word Of(std::string_view text);
  std::string_view Text(Word word) const { return texts_[word]; }

  // Whether so many came since the last Sweep that one is worth its time.
  bool IsSweepDue() const { return numbers_.size() > sweep_at_; }
  // Frees every word that `mark` does not hand to `keep`. Freed numbers are given to other texts.
  void Sweep(absl::FunctionRef<void(absl::FunctionRef<void(Word)> keep)> mark);

 private:
  absl::node_hash_map<std::string, Word> numbers_;
  std::vector<std::string_view> texts_;  // by number, of the keys
  std::vector<Word> free_;
  size_t sweep_at_ = 100'000;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_WORDS_H_
