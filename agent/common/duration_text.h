// Durations as people write them: 90s, 15m, 24h, 7d.
#ifndef TOKENWATCH_AGENT_COMMON_DURATION_TEXT_H_
#define TOKENWATCH_AGENT_COMMON_DURATION_TEXT_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace tokenwatch {

// A whole number and a unit; at most 36500d. Nothing where the text is none.
std::optional<absl::Duration> ParseDurationText(std::string_view text);

// In the largest unit that divides it.
std::string DurationText(absl::Duration duration);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_DURATION_TEXT_H_
