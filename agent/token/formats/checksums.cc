#include "agent/token/formats/checksums.h"

#include <array>
#include <cstddef>

namespace tokenwatch {
namespace {

constexpr size_t kBody = 30;
constexpr size_t kTail = 6;
constexpr std::string_view kBase62 =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

constexpr std::array<uint32_t, 256> kCrcTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ ((value & 1) != 0 ? 0xedb88320U : 0);
    table[byte] = value;
  }
  return table;
}();

std::array<char, kTail> Tail(std::string_view text) {
  uint32_t crc = 0xffffffff;
  for (const char c : text) crc = crc >> 8 ^ kCrcTable[(crc ^ static_cast<uint8_t>(c)) & 0xff];
  crc = ~crc;
  std::array<char, kTail> digits{};
  for (size_t i = kTail; i-- > 0; crc /= 62) digits[i] = kBase62[crc % 62];
  return digits;
}

}  // namespace

std::optional<ChecksumKind> ChecksumByName(std::string_view name) {
  if (name == "crc32_base62") return ChecksumKind::kCrc32Base62;
  return std::nullopt;
}

ChecksumState CheckChecksum(ChecksumKind kind, std::string_view secret) {
  if (kind == ChecksumKind::kNone) return ChecksumState::kNone;
  if (secret.size() < kBody + kTail) return ChecksumState::kBad;
  const std::array<char, kTail> digits = Tail(secret.substr(secret.size() - kBody - kTail, kBody));
  return secret.substr(secret.size() - kTail) == std::string_view(digits.data(), kTail)
             ? ChecksumState::kGood
             : ChecksumState::kBad;
}

std::string Crc32Base62(std::string_view text) {
  const std::array<char, kTail> digits = Tail(text);
  return {digits.data(), digits.size()};
}

}  // namespace tokenwatch
