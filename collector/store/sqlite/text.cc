#include "collector/store/sqlite/text.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch::sqlite {
namespace {

constexpr absl::string_view kCut = "...";
constexpr size_t kMaxRequestIdBytes = 256;
// First byte of a packed request id.
constexpr char kUuid = 'u';
constexpr char kHex = 'h';
constexpr size_t kUuidLength = 36;

// Length of the UTF-8 sequence at the start of `text` (RFC 3629), or 0 where it is not valid or
// NUL.
size_t SequenceLength(absl::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return first == 0 ? 0 : 1;
  size_t length = 0;
  unsigned char low = 0x80;  // bounds of the second byte
  unsigned char high = 0xbf;
  if (first >= 0xc2 && first <= 0xdf) {
    length = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    length = 3;
    if (first == 0xe0) low = 0xa0;   // overlong
    if (first == 0xed) high = 0x9f;  // surrogates
  } else if (first >= 0xf0 && first <= 0xf4) {
    length = 4;
    if (first == 0xf0) low = 0x90;   // overlong
    if (first == 0xf4) high = 0x8f;  // above U+10FFFF
  } else {
    return 0;
  }
  if (text.size() < length || byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return length;
}

bool IsLowerHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

bool IsLowerHexText(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), IsLowerHex);
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
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
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
    size_t length = SequenceLength(text);
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
    return {absl::StrCat(absl::string_view(&kUuid, 1), absl::HexStringToBytes(digits)), true};
  }
  if (!text.empty() && text.size() % 2 == 0 && text.size() <= kMaxRequestIdBytes &&
      IsLowerHexText(text)) {
    return {absl::StrCat(absl::string_view(&kHex, 1), absl::HexStringToBytes(text)), true};
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
