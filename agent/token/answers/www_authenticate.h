// Challenges of WWW-Authenticate (RFC 9110 section 11.6.1).
#ifndef TOKENWATCH_AGENT_TOKEN_ANSWERS_WWW_AUTHENTICATE_H_
#define TOKENWATCH_AGENT_TOKEN_ANSWERS_WWW_AUTHENTICATE_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tokenwatch {

struct Challenge {
  struct Parameter {
    std::string_view name;   // as sent; compare without case
    std::string_view value;  // as sent, quotes removed
    bool escaped = false;    // `value` holds backslashes that quote a character
  };

  std::string_view scheme;  // as sent; compare without case
  std::vector<Parameter> parameters;

  // The value of the first parameter of that name, unescaped and at most `bound` bytes; empty where
  // it is missing.
  std::string Value(std::string_view name, size_t bound) const;
};

// The challenges of one field, at most 16 with at most 16 parameters each; views into `field`. A
// scheme's token68 is skipped. Against the grammar, blanks may stand for commas between parameters,
// and a value may do without quotes; what fits no rule is skipped up to the next comma. Linear.
std::vector<Challenge> ParseChallenges(std::string_view field);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_ANSWERS_WWW_AUTHENTICATE_H_
