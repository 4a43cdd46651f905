#include "collector/detect/words.h"

#include <algorithm>

namespace tokenwatch {

std::string_view CutText(std::string_view text, size_t most) {
  if (text.size() <= most) return text;
  // Not within a character.
  while (most > 0 && (static_cast<uint8_t>(text[most]) & 0xc0) == 0x80) --most;
  return text.substr(0, most);
}

Word Words::Of(std::string_view text) {
  text = CutText(text, kTextMax);
  if (text.empty()) return 0;
  const auto [at, added] =
      numbers_.try_emplace(std::string(text), static_cast<Word>(texts_.size()));
  if (!added) return at->second;
  if (free_.empty()) {
    texts_.push_back(at->first);
  } else {
    at->second = free_.back();
    free_.pop_back();
    texts_[at->second] = at->first;
  }
  return at->second;
}

void Words::Sweep(absl::FunctionRef<void(absl::FunctionRef<void(Word)> keep)> mark) {
  std::vector<bool> kept(texts_.size());
  mark([&kept](Word word) { kept[word] = true; });
  for (auto at = numbers_.begin(); at != numbers_.end();) {
    const auto here = at++;
    if (kept[here->second]) continue;
    texts_[here->second] = {};
    free_.push_back(here->second);
    numbers_.erase(here);
  }
  sweep_at_ = std::max<size_t>(100'000, 2 * numbers_.size());
}

}  // namespace tokenwatch
