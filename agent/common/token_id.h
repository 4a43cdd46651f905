// How ids are written: a prefix and lower-case Crockford base32 digits of a big-endian number, as
// ULIDs are (design: Fingerprint and secrets). Agent, collector and CLI share this one codec.
#ifndef TOKENWATCH_AGENT_COMMON_TOKEN_ID_H_
#define TOKENWATCH_AGENT_COMMON_TOKEN_ID_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/types/span.h"

namespace tokenwatch {

// `prefix` and the fewest digits that hold every number of that many bytes, so the text's length
// depends on the number of bytes alone: 26 digits for 16 bytes ("tok_", "agt_"), 8 for 5 ("key_").
std::string CrockfordText(std::string_view prefix, absl::Span<const uint8_t> bytes);

// Reads what CrockfordText writes into exactly `bytes.size()` bytes. False, with `bytes`
// unspecified, on another prefix, another length, a character that is no digit or a number that is
// too large. Digits may be upper case, and the look-alikes i, l and o read as 1, 1 and 0, as
// Crockford has it.
bool ParseCrockfordText(std::string_view prefix, std::string_view text, absl::Span<uint8_t> bytes);

// "tok_" and 26 digits. `id` is 16 bytes.
std::string TokenIdText(absl::Span<const uint8_t> id);

// Reads what TokenIdText writes. False where `text` is no token id.
bool ParseTokenIdText(std::string_view text, std::array<uint8_t, 16>* id);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_TOKEN_ID_H_
