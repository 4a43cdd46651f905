#include "collector/ingest/valid_utf8.h"

#include "absl/strings/str_cat.h"
#include "agent/common/utf8.h"

namespace tokenwatch {

std::string ValidUtf8(std::string_view bytes) {
  if (IsValidUtf8(bytes)) return std::string(bytes);
  std::string text;
  while (!bytes.empty()) {
    std::string_view taken = bytes;
    TakeCodePoint(&bytes);
    taken.remove_suffix(bytes.size());
    if (IsValidUtf8(taken)) {
      text.append(taken);
      continue;
    }
    for (const char c : taken) {
      absl::StrAppend(&text, "\\x", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  return text;
}

}  // namespace tokenwatch
