// Which cookies are credentials: those that the settings name.
#ifndef TOKENWATCH_AGENT_TOKEN_CARRIERS_COOKIE_RULES_H_
#define TOKENWATCH_AGENT_TOKEN_CARRIERS_COOKIE_RULES_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace tokenwatch {

inline constexpr size_t kCookieRulesMax = 64;
inline constexpr size_t kCookieRuleSizeMax = 64;

// A rule is a cookie's name, in which '*' stands for any text, or the word "session" for the names
// of SessionCookies(). InvalidArgument names the rule that is none.
absl::Status CheckCookieRules(absl::Span<const std::string> rules);

// Whether a rule is for the cookie. One whose name speaks of CSRF never is, as it proves nothing
// about who sends it.
bool CookieIsNamed(absl::Span<const std::string> rules, std::string_view name,
                   std::string_view value);

// '*' stands for any text, other characters for themselves. Linear in `text` times the number of
// characters in `pattern`.
bool MatchesWildcard(std::string_view pattern, std::string_view text);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_CARRIERS_COOKIE_RULES_H_
