// Compiling the patterns of formats.
#ifndef TOKENWATCH_AGENT_TOKEN_FORMATS_FORMAT_REGEX_H_
#define TOKENWATCH_AGENT_TOKEN_FORMATS_FORMAT_REGEX_H_

#include <re2/re2.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace tokenwatch {

// RE2 matches in linear time and keeps nothing of what it is given; its memory is bounded.
// InvalidArgument says what is wrong with the pattern.
absl::StatusOr<std::unique_ptr<RE2>> CompileFormat(const std::string& pattern);

// Against all of `secret`, byte by byte.
bool FormatMatches(const RE2& regex, std::string_view secret);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_FORMATS_FORMAT_REGEX_H_
