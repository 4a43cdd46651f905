#include "collector/notify/shown_text.h"

#include "agent/common/utf8.h"

namespace tokenwatch {
namespace {

constexpr std::string_view kCut = "...";

}  // namespace

std::string ShownText(std::string_view text, size_t most) {
  std::string shown;
  size_t fits = 0;  // of `shown`, with kCut behind it
  while (!text.empty()) {
    const char32_t code = TakeCodePoint(&text);
    AppendUtf8(IsUnsafeToShow(code) ? U' ' : code, &shown);
    if (shown.size() + kCut.size() <= most) fits = shown.size();
    if (shown.size() <= most) continue;
    shown.resize(fits);
    if (most >= kCut.size()) shown += kCut;
    return shown;
  }
  return shown;
}

}  // namespace tokenwatch
