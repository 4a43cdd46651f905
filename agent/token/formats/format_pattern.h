// What a format's pattern says before anything is matched against it: how long its matches are, and
// which characters all of them share.
#ifndef TOKENWATCH_AGENT_TOKEN_FORMATS_FORMAT_PATTERN_H_
#define TOKENWATCH_AGENT_TOKEN_FORMATS_FORMAT_PATTERN_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace tokenwatch {

struct PatternFacts {
  static constexpr size_t kUnbounded = static_cast<size_t>(-1);

  // Bytes of what matches.
  size_t min_length = 0;
  size_t max_length = 0;
  // Every match has one of `anchors`, which are equally long, `anchor_at` bytes behind its begin.
  // The beginning where that has four characters or more, else the longest that the pattern has;
  // none where it has no literal at a fixed place.
  size_t anchor_at = 0;
  std::vector<std::string> anchors;
  // Literal characters of the pattern in all, and of the longest run of them.
  size_t literals = 0;
  size_t longest_literal = 0;
  bool has_public = false;  // a group named "public"
  // The fewest characters of a match that are no literals and not in that group.
  size_t hidden = 0;
};

// Patterns are RE2's syntax without assertions, flags and Unicode classes: literals, escaped
// punctuation, \d \w \s, classes, '.', groups (also (?:...) and (?P<name>...)), alternatives and
// repetition. They are matched against the whole secret, so '^' and '$' are refused as well.
// InvalidArgument says what is not understood.
absl::StatusOr<PatternFacts> AnalysePattern(std::string_view pattern);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_FORMATS_FORMAT_PATTERN_H_
