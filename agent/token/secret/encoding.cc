#include "agent/token/secret/encoding.h"

#include <cstddef>

namespace tokenwatch {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<SecretBuffer> DecodeBase64(std::string_view text) {
  for (int padding = 0; padding < 2 && !text.empty() && text.back() == '='; ++padding) {
    text.remove_suffix(1);
  }
  if (text.size() % 4 == 1) return std::nullopt;
  SecretBuffer out;
  char* at = out.Extend(text.size() * 3 / 4);
  // Whole groups of four digits first; a digit that is none makes its value, or'ed, negative.
  for (; text.size() >= 4; text.remove_prefix(4)) {
    const int a = Base64Value(text[0]), b = Base64Value(text[1]);
    const int c = Base64Value(text[2]), d = Base64Value(text[3]);
    if ((a | b | c | d) < 0) return std::nullopt;
    *at++ = static_cast<char>(a << 2 | b >> 4);
    *at++ = static_cast<char>(b << 4 | c >> 2);
    *at++ = static_cast<char>(c << 6 | d);
  }
  if (!text.empty()) {
    const int a = Base64Value(text[0]), b = Base64Value(text[1]);
    const int c = text.size() == 3 ? Base64Value(text[2]) : 0;
    if ((a | b | c) < 0) return std::nullopt;
    *at++ = static_cast<char>(a << 2 | b >> 4);
    if (text.size() == 3) *at++ = static_cast<char>(b << 4 | c >> 2);
  }
  return out;
}

SecretBuffer DecodePercent(std::string_view text, std::vector<uint32_t>* origins) {
  SecretBuffer out;
  out.Reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    if (origins != nullptr) origins->push_back(static_cast<uint32_t>(i));
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = HexValue(text[i + 1]);
      const int low = HexValue(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out.Append(static_cast<char>(high << 4 | low));
        i += 3;
        continue;
      }
    }
    out.Append(text[i++]);
  }
  if (origins != nullptr) origins->push_back(static_cast<uint32_t>(text.size()));
  return out;
}

}  // namespace tokenwatch
