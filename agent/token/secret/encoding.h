// Undoing the wrappings of a secret without leaving copies of it.
#ifndef TOKENWATCH_AGENT_TOKEN_SECRET_ENCODING_H_
#define TOKENWATCH_AGENT_TOKEN_SECRET_ENCODING_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "agent/common/secret_buffer.h"

namespace tokenwatch {

// Value of a base64 digit of either alphabet (RFC 4648 sections 4 and 5), -1 for anything else.
inline constexpr std::array<int8_t, 256> kBase64Values = [] {
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
inline int Base64Value(char c) { return kBase64Values[static_cast<unsigned char>(c)]; }

// -1 for anything but a hexadecimal digit.
int HexValue(char c);

// Decodes base64 of either alphabet, with or without padding. Nothing where other bytes occur or
// the length cannot be.
std::optional<SecretBuffer> DecodeBase64(std::string_view text);

// Decodes %XX; anything else, also '+' and a '%' without two digits, stands for itself. Where
// `origins` is given, element i of it becomes the offset in `text` of decoded byte i, and one more
// element the length of `text`.
SecretBuffer DecodePercent(std::string_view text, std::vector<uint32_t>* origins = nullptr);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_SECRET_ENCODING_H_
