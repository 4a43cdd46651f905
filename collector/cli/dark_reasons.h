// Why the plaintext of TLS connections was not seen, in words for a person: one table.
#ifndef TOKENWATCH_COLLECTOR_CLI_DARK_REASONS_H_
#define TOKENWATCH_COLLECTOR_CLI_DARK_REASONS_H_

#include <string>
#include <string_view>

#include "absl/types/span.h"

namespace tokenwatch {

struct DarkReason {
  std::string_view reason;  // of v1.DarkReason
  std::string_view meaning;
};

absl::Span<const DarkReason> DarkReasons();

// A reason without a row, as a newer agent may send, stands for itself.
std::string DarkMeaning(const std::string& reason);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_DARK_REASONS_H_
