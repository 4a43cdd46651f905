#include "agent/common/token_id.h"

#include <algorithm>
#include <cstddef>

namespace tokenwatch {
namespace {

constexpr std::string_view kDigits = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr std::string_view kTokenPrefix = "tok_";

size_t DigitsFor(size_t bytes) { return (bytes * 8 + 4) / 5; }

// The digit's value, or -1.
int DigitValue(char c) {
  if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (c == 'i' || c == 'l') return 1;
  if (c == 'o') return 0;
  const size_t value = kDigits.find(c);
  return value == std::string_view::npos ? -1 : static_cast<int>(value);
}

}  // namespace

std::string CrockfordText(std::string_view prefix, absl::Span<const uint8_t> bytes) {
  const size_t digits = DigitsFor(bytes.size());
  std::string text(prefix);
  text.resize(prefix.size() + digits);
  // From the least significant end, so that the padding bits are the leading ones.
  uint32_t bits = 0;
  int held = 0;
  size_t next = bytes.size();
  for (size_t i = digits; i-- > 0;) {
    if (held < 5 && next > 0) {
      bits |= static_cast<uint32_t>(bytes[--next]) << held;
      held += 8;
    }
    text[prefix.size() + i] = kDigits[bits & 31];
    bits >>= 5;
    held = std::max(held - 5, 0);
  }
  return text;
}

bool ParseCrockfordText(std::string_view prefix, std::string_view text, absl::Span<uint8_t> bytes) {
  if (text.substr(0, prefix.size()) != prefix) return false;
  text.remove_prefix(prefix.size());
  if (text.size() != DigitsFor(bytes.size())) return false;
  uint32_t bits = 0;
  int held = 0;
  size_t next = bytes.size();
  for (size_t i = text.size(); i-- > 0;) {
    const int value = DigitValue(text[i]);
    if (value < 0) return false;
    bits |= static_cast<uint32_t>(value) << held;
    held += 5;
    if (held >= 8 && next > 0) {
      bytes[--next] = static_cast<uint8_t>(bits & 0xff);
      bits >>= 8;
      held -= 8;
    }
  }
  return bits == 0;
}

std::string TokenIdText(absl::Span<const uint8_t> id) { return CrockfordText(kTokenPrefix, id); }

bool ParseTokenIdText(std::string_view text, std::array<uint8_t, 16>* id) {
  return ParseCrockfordText(kTokenPrefix, text, absl::MakeSpan(*id));
}

}  // namespace tokenwatch
