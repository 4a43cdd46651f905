#include "agent/token/encoding.h"

#include <array>
#include <cstddef>

namespace tokenwatch {

namespace {

constexpr std::array<int8_t, 256> kBase64Values = [] {
  std::array<int8_t, 256> values{};
  for (int8_t& value : values) value = -1;
  for (int i = 0; i < 26; ++i) {
    values['A' + i] = static_cast<int8_t>(i);
    values['a' + i] = static_cast<int8_t>(26 + i);
  }
  for (int i = 0; i < 10; ++i) values['0' + i] = static_cast<int8_t>(52 + i);
  values['+'] = values['-'] = 62;
  values['/'] = values['_'] = 63;
  return values;
}();

}  // namespace

int Base64Value(char c) { return kBase64Values[static_cast<unsigned char>(c)]; }

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
  uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const int value = Base64Value(c);
    if (value < 0) return std::nullopt;
    bits = (bits << 6 | static_cast<uint32_t>(value)) & 0xffffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      *at++ = static_cast<char>(bits >> held & 0xff);
    }
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
