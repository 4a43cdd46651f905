// Comparing and cutting text without copies. For std::string_view, which Debian 12's absl does not
// take.
#ifndef TOKENWATCH_AGENT_COMMON_TEXT_H_
#define TOKENWATCH_AGENT_COMMON_TEXT_H_

#include <algorithm>
#include <string_view>

#include "absl/strings/ascii.h"

namespace tokenwatch {

// ASCII letters compare without case.
inline bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  return std::equal(a.begin(), a.end(), b.begin(), [](unsigned char x, unsigned char y) {
    return absl::ascii_tolower(x) == absl::ascii_tolower(y);
  });
}

// Blank, tab, CR and LF: what separates words in a header block.
inline bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

inline std::string_view TrimBlanks(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

// What `is` holds for in every byte; false for an empty text.
inline bool AllOf(std::string_view text, bool (*is)(unsigned char)) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is);
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_TEXT_H_
