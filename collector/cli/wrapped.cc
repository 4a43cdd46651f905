#include "collector/cli/wrapped.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "collector/cli/table.h"

namespace tokenwatch {
namespace {

// Less is no column to read.
constexpr size_t kLeast = 20;

}  // namespace

std::string Wrapped(const std::string& text, size_t width, size_t indent) {
  const std::string shown = ShownSafely(text);
  if (width < indent + kLeast) return shown + "\n";
  std::string lines;
  size_t used = indent;
  for (const absl::string_view word : absl::StrSplit(shown, ' ', absl::SkipEmpty())) {
    const size_t cells = CellsOf(std::string(word));
    if (used > indent && used + 1 + cells > width) {
      absl::StrAppend(&lines, "\n", std::string(indent, ' '));
      used = indent;
    }
    if (used > indent) {
      lines += ' ';
      ++used;
    }
    absl::StrAppend(&lines, word);
    used += cells;
  }
  return lines + "\n";
}

}  // namespace tokenwatch
