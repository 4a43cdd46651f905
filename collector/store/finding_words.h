// Findings' ids, and the words of their severities and states.
#ifndef TOKENWATCH_COLLECTOR_STORE_FINDING_WORDS_H_
#define TOKENWATCH_COLLECTOR_STORE_FINDING_WORDS_H_

#include <array>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

#include "absl/types/span.h"
#include "agent/common/token_id.h"

namespace tokenwatch {

inline constexpr std::string_view kFindingPrefix = "fnd_";

// `id` is 16 bytes.
inline std::string FindingIdText(absl::Span<const uint8_t> id) {
  return CrockfordText(kFindingPrefix, id);
}

// False where `text` is no finding's id.
inline bool ParseFindingIdText(std::string_view text, std::array<uint8_t, 16>* id) {
  return ParseCrockfordText(kFindingPrefix, text, absl::MakeSpan(*id));
}

// Rising.
inline constexpr const char* kSeverities[] = {"info", "low", "medium", "high", "critical"};

// The place of a severity among kSeverities; none where it is none.
constexpr std::optional<uint32_t> SeverityRank(std::string_view word) {
  for (uint32_t rank = 0; rank < std::size(kSeverities); ++rank) {
    if (word == kSeverities[rank]) return rank;
  }
  return std::nullopt;
}

inline constexpr char kFindingOpen[] = "open";
inline constexpr char kFindingSuppressed[] = "suppressed";
inline constexpr char kFindingClosed[] = "closed";

// A finding is closed when its last evidence is older.
inline constexpr int64_t kFindingOpenMicros = 24LL * 3600 * 1000 * 1000;

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_FINDING_WORDS_H_
