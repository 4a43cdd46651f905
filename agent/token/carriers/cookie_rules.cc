#include "agent/token/carriers/cookie_rules.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/token/carriers/carriers.h"

namespace tokenwatch {
namespace {

constexpr std::string_view kSessionWord = "session";

// RFC 6265: a cookie's name is a token of RFC 9110; '*' is one of its characters.
bool IsNameByte(unsigned char c) {
  return absl::ascii_isalnum(c) ||
         std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos;
}

bool IsAntiForgery(std::string_view name) {
  constexpr std::string_view kWords[] = {"csrf", "xsrf"};
  return std::any_of(std::begin(kWords), std::end(kWords), [name](std::string_view word) {
    return std::search(name.begin(), name.end(), word.begin(), word.end(), [](char a, char b) {
             return absl::ascii_tolower(static_cast<unsigned char>(a)) == b;
           }) != name.end();
  });
}

}  // namespace

absl::Status CheckCookieRules(absl::Span<const std::string> rules) {
  if (rules.size() > kCookieRulesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("cookies: there are ", rules.size(), " rules; at most ", kCookieRulesMax,
                     " are allowed: put several names into one with '*'"));
  }
  for (const std::string& rule : rules) {
    if (rule.empty()) return absl::InvalidArgumentError("cookies: a name is empty");
    if (rule.size() > kCookieRuleSizeMax) {
      return absl::InvalidArgumentError(absl::StrCat("cookies: '", rule.substr(0, 20),
                                                     "...' is longer than ", kCookieRuleSizeMax,
                                                     " characters: shorten it with '*'"));
    }
    if (!std::all_of(rule.begin(), rule.end(), IsNameByte)) {
      return absl::InvalidArgumentError(
          absl::StrCat("cookies: '", rule,
                       "' holds what no cookie's name does: write the name "
                       "alone, without '=', ';' and blanks"));
    }
  }
  return absl::OkStatus();
}

bool MatchesWildcard(std::string_view pattern, std::string_view text) {
  size_t at = 0, in = 0;
  // Behind the last '*', and what it stands for so far: only that one is ever tried anew.
  size_t star = std::string_view::npos, resume = 0;
  while (in < text.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = ++at;
      resume = in;
    } else if (at < pattern.size() && pattern[at] == text[in]) {
      ++at;
      ++in;
    } else if (star != std::string_view::npos) {
      at = star;
      in = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', at) == std::string_view::npos;
}

bool CookieIsNamed(absl::Span<const std::string> rules, std::string_view name,
                   std::string_view value) {
  const auto sessions = SessionCookies();
  const bool is_named = std::any_of(rules.begin(), rules.end(), [&](const std::string& rule) {
    if (rule != kSessionWord) return MatchesWildcard(rule, name);
    return std::any_of(sessions.begin(), sessions.end(), [&](const SessionCookieRow& row) {
      return MatchesWildcard(row.name, name) && value.starts_with(row.value_prefix);
    });
  });
  return is_named && !IsAntiForgery(name);
}

}  // namespace tokenwatch
