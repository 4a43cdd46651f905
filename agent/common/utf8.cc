#include "agent/common/utf8.h"

#include <cstdint>

namespace tokenwatch {

char32_t TakeCodePoint(std::string_view* text) {
  const auto first = static_cast<uint8_t>(text->front());
  text->remove_prefix(1);
  if (first < 0x80) return first;

  // Bounds of the second byte rule out overlong forms, surrogates and what lies beyond U+10FFFF
  // (Unicode, table 3-7).
  int more = 0;
  uint8_t low = 0x80, high = 0xbf;
  char32_t code_point = 0;
  if (first >= 0xc2 && first <= 0xdf) {
    more = 1;
    code_point = first & 0x1fU;
  } else if (first >= 0xe0 && first <= 0xef) {
    more = 2;
    code_point = first & 0x0fU;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    more = 3;
    code_point = first & 0x07U;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
  } else {
    return kReplacementCharacter;
  }
  for (; more > 0; --more) {
    if (text->empty()) return kReplacementCharacter;
    const auto next = static_cast<uint8_t>(text->front());
    if (next < low || next > high) return kReplacementCharacter;
    text->remove_prefix(1);
    code_point = (code_point << 6) | (next & 0x3fU);
    low = 0x80;
    high = 0xbf;
  }
  return code_point;
}

void AppendUtf8(char32_t code_point, std::string* text) {
  const auto put = [text](char32_t byte) { *text += static_cast<char>(byte); };
  if (code_point < 0x80) {
    put(code_point);
    return;
  }
  if (code_point < 0x800) {
    put(0xc0 | (code_point >> 6));
  } else {
    if (code_point < 0x10000) {
      put(0xe0 | (code_point >> 12));
    } else {
      put(0xf0 | (code_point >> 18));
      put(0x80 | ((code_point >> 12) & 0x3f));
    }
    put(0x80 | ((code_point >> 6) & 0x3f));
  }
  put(0x80 | (code_point & 0x3f));
}

bool IsUnsafeToShow(char32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad ||
         (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
         (code >= 0xfff0 && code <= 0xfffb) || code >= 0xe0000;
}

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    const std::string_view before = text;
    // U+FFFD itself may be in the text, in its three bytes.
    if (TakeCodePoint(&text) == kReplacementCharacter && !before.starts_with("\xef\xbf\xbd")) {
      return false;
    }
  }
  return true;
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  if (IsValidUtf8(text)) return std::string(text);
  std::string valid;
  while (!text.empty()) AppendUtf8(TakeCodePoint(&text), &valid);
  return valid;
}

}  // namespace tokenwatch
