// What the kinds of gaps mean, in words for a person: one table.
#ifndef TOKENWATCH_COLLECTOR_CLI_GAP_KINDS_H_
#define TOKENWATCH_COLLECTOR_CLI_GAP_KINDS_H_

#include <string>
#include <string_view>

#include "absl/types/span.h"

namespace tokenwatch {

struct GapKind {
  std::string_view kind;     // of v1.AgentGap
  std::string_view meaning;  // what its count counts
};

absl::Span<const GapKind> GapKinds();

// Of a kind without a row, as a newer agent may send, the little that its name's end tells.
std::string GapMeaning(const std::string& kind);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_GAP_KINDS_H_
