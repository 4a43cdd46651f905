// Checksums that providers put into their tokens. Only those that were computed and compared with
// tokens that a provider published are here: what is guessed would call good tokens bad.
#ifndef TOKENWATCH_AGENT_TOKEN_FORMATS_CHECKSUMS_H_
#define TOKENWATCH_AGENT_TOKEN_FORMATS_CHECKSUMS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tokenwatch {

enum class ChecksumKind : uint8_t {
  kNone,
  // GitHub and npm: the last 6 characters are the CRC-32 (IEEE) of the 30 before them, in base 62
  // (0-9A-Za-z).
  kCrc32Base62,
};

// A bad one lowers certainty and never hides a token: somebody may have invented it.
enum class ChecksumState : uint8_t { kNone, kGood, kBad };

// Nothing where there is no such checksum.
std::optional<ChecksumKind> ChecksumByName(std::string_view name);

ChecksumState CheckChecksum(ChecksumKind kind, std::string_view secret);

// Six digits of base 62.
std::string Crc32Base62(std::string_view text);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_FORMATS_CHECKSUMS_H_
