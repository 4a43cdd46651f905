// Taking the values of fields apart: words, quotes, lists and parameters (RFC 9110 sections 5.6 and
// 11.2). Views into what is given; linear.
#ifndef TOKENWATCH_AGENT_TOKEN_FIELD_TEXT_H_
#define TOKENWATCH_AGENT_TOKEN_FIELD_TEXT_H_

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

#include "agent/common/text.h"

namespace tokenwatch {

// Without the quotes around it and the blanks inside those.
std::string_view Unquote(std::string_view text);

// Without regard to case.
inline bool BeginsIgnoringCase(std::string_view text, std::string_view beginning) {
  return EqualsIgnoreCase(text.substr(0, beginning.size()), beginning);
}

// Up to the first blank, at most `bound` bytes.
std::string_view FirstWord(std::string_view text, size_t bound = std::string_view::npos);

// A bare value as people write it into fields and parameters that want no scheme: without blanks,
// quotes, "Bearer " and "Token " around it.
std::string_view BareValue(std::string_view text);

// Takes from `rest` what comes before the first comma outside quotes for whose rest `ends` holds;
// `ends` looks at a bounded number of bytes behind the blanks.
template <typename Ends>
std::string_view NextPart(std::string_view* rest, Ends ends) {
  bool quoted = false;
  size_t i = rest->find(',') == std::string_view::npos ? rest->size() : 0;
  for (; i < rest->size(); ++i) {
    const char c = (*rest)[i];
    if (c == '"') quoted = !quoted;
    if (c == '\\' && quoted) ++i;
    if (c != ',' || quoted || !ends(rest->substr(i + 1))) continue;
    const std::string_view part = rest->substr(0, i);
    rest->remove_prefix(i + 1);
    return TrimBlanks(part);
  }
  return TrimBlanks(std::exchange(*rest, {}));
}

struct FieldParameter {
  std::string_view value;  // as sent, without quotes
  bool ended = false;      // quotes or a separator prove where it ends
  bool escaped = false;    // it holds '\\', which Unescape undoes
};

// The first parameter of the name, without regard to case. Blank, tab, ',', ';' separate; where
// `ampersand` is set '&' does as well.
std::optional<FieldParameter> FindFieldParameter(std::string_view text, std::string_view name,
                                                 bool ampersand);

// Takes from `rest` the next part of a query or a form: up to the first '&'.
inline std::string_view NextPair(std::string_view* rest) {
  const size_t end = std::min(rest->find('&'), rest->size());
  const std::string_view pair = rest->substr(0, end);
  rest->remove_prefix(std::min(end + 1, rest->size()));
  return pair;
}

// The value, as sent, of the first parameter of a query with that name, without regard to case;
// null data where there is none.
std::string_view QueryValue(std::string_view query, std::string_view name);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_FIELD_TEXT_H_
