#include "collector/store/sqlite/text.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/common/request_id.h"
#include "agent/common/utf8.h"

namespace tokenwatch::sqlite {
namespace {

constexpr absl::string_view kCut = "...";
constexpr size_t kMaxRequestIdBytes = 256;

// Length of the character at the start of `text`, or 0 where it is no UTF-8 or NUL.
size_t CharacterLength(absl::string_view text) {
  const std::string_view before(text.data(), text.size());
  std::string_view after = before;
  const char32_t code_point = TakeCodePoint(&after);
  if (code_point == 0) return 0;
  // U+FFFD itself may be in the text, in its three bytes.
  if (code_point == kReplacementCharacter && !before.starts_with("\xef\xbf\xbd")) return 0;
  return before.size() - after.size();
}

}  // namespace

bool IsCleanText(absl::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) return false;
  // Nearly all text is ASCII.
  if (std::all_of(text.begin(), text.end(),
                  [](char c) { return static_cast<signed char>(c) > 0; })) {
    return true;
  }
  while (!text.empty()) {
    const size_t length = CharacterLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string CleanText(absl::string_view text, size_t max_bytes) {
  if (IsCleanText(text, max_bytes)) return std::string(text);
  std::string clean;
  size_t cut_at = 0;  // the longest prefix that leaves room for kCut
  while (!text.empty()) {
    if (clean.size() + kCut.size() <= max_bytes) cut_at = clean.size();
    size_t length = CharacterLength(text);
    if (length == 0) {
      length = 1;
      absl::StrAppend(&clean, "\\x",
                      absl::Hex(static_cast<unsigned char>(text[0]), absl::kZeroPad2));
    } else {
      absl::StrAppend(&clean, text.substr(0, length));
    }
    if (clean.size() > max_bytes) {
      clean.resize(cut_at);
      absl::StrAppend(&clean, kCut);
      break;
    }
    text.remove_prefix(length);
  }
  return clean;
}

StoredRequestId StoreRequestId(absl::string_view text) {
  std::string packed = PackRequestId(std::string_view(text.data(), text.size()));
  if (!packed.empty()) return {std::move(packed), true};
  return {CleanText(text, kMaxRequestIdBytes), false};
}

std::string RequestIdText(absl::string_view bytes, bool packed) {
  if (!packed) return std::string(bytes);
  return UnpackRequestId(std::string_view(bytes.data(), bytes.size())).value_or("");
}

}  // namespace tokenwatch::sqlite
