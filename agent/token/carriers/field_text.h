// Taking the values of fields apart: words, quotes, lists and parameters (RFC 9110 sections 5.6 and
// 11.2). Views into what is given; linear.
#ifndef TOKENWATCH_AGENT_TOKEN_CARRIERS_FIELD_TEXT_H_
#define TOKENWATCH_AGENT_TOKEN_CARRIERS_FIELD_TEXT_H_

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

#include "agent/common/text.h"

namespace tokenwatch {

// Without the quotes around it, of either kind, and the blanks inside those.
std::string_view Unquote(std::string_view text);

// Without regard to case.
inline bool BeginsIgnoringCase(std::string_view text, std::string_view beginning) {
  return EqualsIgnoreCase(text.substr(0, beginning.size()), beginning);
}

// Up to the first blank, at most `bound` bytes.
std::string_view FirstWord(std::string_view text, size_t bound = std::string_view::npos);

// A bare value as people write it where a secret alone is wanted: without blanks and quotes around
// it, and without "Bearer " or "Token " (or with ':' or '+' for the blank) and "token=", "key=" or
// the like before it, as often as they stand there.
std::string_view BareValue(std::string_view text);

// Behind the quoted string that begins at `begin`, or the end of the text where it does not end.
size_t QuotedEnd(std::string_view text, size_t begin);

// Takes from `rest` what comes before the first comma outside quotes for whose rest `ends` holds;
// `ends` looks at a bounded number of bytes behind the blanks.
template <typename Ends>
std::string_view NextPart(std::string_view* rest, Ends ends) {
  size_t begin = 0;  // not looked at yet, and not inside quotes
  // No byte is searched twice for a comma or for a quote, however many of either there are.
  for (size_t at = rest->find(','); at < rest->size();) {
    const size_t quote = rest->substr(begin, at - begin).find('"');
    if (quote != std::string_view::npos) {
      begin = QuotedEnd(*rest, begin + quote);
    } else if (ends(rest->substr(at + 1))) {
      const std::string_view part = rest->substr(0, at);
      rest->remove_prefix(at + 1);
      return TrimBlanks(part);
    } else {
      begin = at + 1;
    }
    if (at < begin) at = rest->find(',', begin);
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

#endif  // TOKENWATCH_AGENT_TOKEN_CARRIERS_FIELD_TEXT_H_
