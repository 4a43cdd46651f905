// The order of severities.
#ifndef TOKENWATCH_COLLECTOR_NOTIFY_SEVERITY_H_
#define TOKENWATCH_COLLECTOR_NOTIFY_SEVERITY_H_

#include <algorithm>
#include <array>
#include <string_view>

namespace tokenwatch {

// Least first.
inline constexpr std::array<std::string_view, 5> kSeverities = {"info", "low", "medium", "high",
                                                                "critical"};

// Its place in kSeverities; -1 where the text is none.
inline int SeverityRank(std::string_view severity) {
  const auto* const found = std::find(kSeverities.begin(), kSeverities.end(), severity);
  return found == kSeverities.end() ? -1 : static_cast<int>(found - kSeverities.begin());
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_NOTIFY_SEVERITY_H_
