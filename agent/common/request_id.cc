#include "agent/common/request_id.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"

namespace tokenwatch {
namespace {

constexpr size_t kMaxDigits = 256;
constexpr size_t kUuidBytes = 16;
constexpr size_t kUuidLength = 36;
constexpr size_t kDashes[] = {8, 13, 18, 23};  // in a UUID's text (RFC 9562, 4)

bool IsLowerHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
bool IsUpperHex(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); }

// The digits of a UUID's text, or `text` where it has another shape.
std::string WithoutDashes(std::string_view text) {
  std::string digits(text);
  if (text.size() != kUuidLength) return digits;
  const auto is_dash = [text](size_t i) { return text[i] == '-'; };
  if (!std::all_of(std::begin(kDashes), std::end(kDashes), is_dash)) return digits;
  std::erase(digits, '-');
  // Another dash would have been one too many.
  return digits.size() == 2 * kUuidBytes ? digits : std::string(text);
}

}  // namespace

std::string PackRequestId(std::string_view text) {
  const std::string digits = WithoutDashes(text);
  if (digits.empty() || digits.size() % 2 != 0 || digits.size() > kMaxDigits) return {};
  const bool lower = std::all_of(digits.begin(), digits.end(), IsLowerHex);
  if (!lower && !std::all_of(digits.begin(), digits.end(), IsUpperHex)) return {};
  const char shape = digits.size() == text.size() ? 'h' : 'u';
  std::string packed(1, lower ? shape : absl::ascii_toupper(shape));
  // absl::HexStringToBytes returns them in Debian 12's version and takes an out-parameter from
  // 20240116 on.
  for (size_t i = 0; i < digits.size(); i += 2) {
    uint32_t byte = 0;
    if (!absl::SimpleHexAtoi(absl::string_view(digits).substr(i, 2), &byte)) return {};
    packed += static_cast<char>(byte);
  }
  return packed;
}

std::optional<std::string> UnpackRequestId(std::string_view packed) {
  if (packed.size() < 2 || packed.size() > 1 + kMaxDigits / 2) return std::nullopt;
  std::string text = absl::BytesToHexString({packed.data() + 1, packed.size() - 1});
  const char shape = absl::ascii_tolower(packed.front());
  if (shape == 'u' && packed.size() == 1 + kUuidBytes) {
    for (const size_t dash : kDashes) text.insert(dash, 1, '-');
  } else if (shape != 'h') {
    return std::nullopt;
  }
  if (absl::ascii_isupper(packed.front())) absl::AsciiStrToUpper(&text);
  return text;
}

}  // namespace tokenwatch
