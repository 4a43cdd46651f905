#include "collector/store/sqlite/text.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/common/utf8.h"

namespace tokenwatch::sqlite {
namespace {

constexpr absl::string_view kCut = "...";
constexpr size_t kMaxRequestIdBytes = 256;
// First byte of a packed request id.
constexpr char kUuid = 'u';
constexpr char kHex = 'h';
constexpr size_t kUuidLength = 36;

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

bool IsLowerHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

bool IsLowerHexText(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), IsLowerHex);
}

// The bytes of an even number of hexadecimal digits. absl::HexStringToBytes returns them in Debian
// 12's version and takes an out-parameter from 20240116 on.
std::string HexToBytes(absl::string_view digits) {
  std::string bytes;
  for (size_t i = 0; i < digits.size(); i += 2) {
    uint32_t byte = 0;
    if (absl::SimpleHexAtoi(digits.substr(i, 2), &byte)) bytes += static_cast<char>(byte);
  }
  return bytes;
}

// Where a UUID's text has its dashes.
bool IsDash(size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

bool IsUuid(absl::string_view text) {
  if (text.size() != kUuidLength) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (IsDash(i) ? text[i] != '-' : !IsLowerHex(text[i])) return false;
  }
  return true;
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

StoredRequestId PackRequestId(absl::string_view text) {
  if (IsUuid(text)) {
    std::string digits;
    for (size_t i = 0; i < text.size(); ++i) {
      if (!IsDash(i)) digits += text[i];
    }
    return {absl::StrCat(absl::string_view(&kUuid, 1), HexToBytes(digits)), true};
  }
  if (!text.empty() && text.size() % 2 == 0 && text.size() <= kMaxRequestIdBytes &&
      IsLowerHexText(text)) {
    return {absl::StrCat(absl::string_view(&kHex, 1), HexToBytes(text)), true};
  }
  return {CleanText(text, kMaxRequestIdBytes), false};
}

std::string UnpackRequestId(absl::string_view bytes, bool packed) {
  if (!packed) return std::string(bytes);
  if (bytes.empty()) return {};
  const char form = bytes.front();
  bytes.remove_prefix(1);
  std::string digits = absl::BytesToHexString(bytes);
  if (form != kUuid) return digits;
  for (const size_t dash : {8, 13, 18, 23}) {
    if (dash < digits.size()) digits.insert(dash, 1, '-');
  }
  return digits;
}

}  // namespace tokenwatch::sqlite
