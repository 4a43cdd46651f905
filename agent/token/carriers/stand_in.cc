#include "agent/token/carriers/stand_in.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/types/span.h"
#include "agent/common/text.h"

namespace tokenwatch {
namespace {

// Of JavaScript, Python, Go, Ruby, C and shells.
constexpr std::string_view kNothing[] = {
    "undefined",        "null",    "(null)", "none", "nil", "<nil>", "nan", "%s", "[object object]",
    "[object promise]", "redacted"};

struct Brackets {
  std::string_view open, close;
};
constexpr Brackets kTemplates[] = {{"${", "}"}, {"$(", ")"}, {"{{", "}}"},
                                   {"<", ">"},  {"%", "%"},  {"@@", "@@"}};
constexpr size_t kTemplateMax = 80;
constexpr size_t kRepeatedMin = 3;
constexpr std::string_view kMasks = "*xX.-_#?";

// What stands between the brackets of a template: names, and what shells and template engines take
// with them.
bool IsExpression(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) ||
           std::string_view(" _-.:?/|\"'[]()").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

// "$NAME", as shells leave it in single quotes.
bool IsVariable(std::string_view text) {
  return text.size() > 2 && text.front() == '$' &&
         std::all_of(text.begin() + 1, text.end(),
                     [](unsigned char c) {
                       return absl::ascii_isupper(c) || absl::ascii_isdigit(c) || c == '_';
                     }) &&
         !absl::ascii_isdigit(static_cast<unsigned char>(text[1]));
}

// As documentation writes it: "your", words of letters, and what it is that is yours; or that
// alone, which nobody would choose for a secret.
bool IsFromDocumentation(std::string_view text) {
  constexpr std::string_view kWholes[] = {"api_key",      "api-key",    "access_token",
                                          "access-token", "auth_token", "client_secret",
                                          "your_token",   "yourtoken",  "yourapikey"};
  constexpr std::string_view kLasts[] = {"key",      "token",       "secret", "here",
                                         "password", "credentials", "apikey", "pat"};
  constexpr std::string_view kYour = "your";
  const auto is_one_of = [](absl::Span<const std::string_view> words, std::string_view word) {
    return std::any_of(words.begin(), words.end(),
                       [word](std::string_view one) { return EqualsIgnoreCase(one, word); });
  };
  if (is_one_of(kWholes, text)) return true;
  if (text.size() < kYour.size() + 2 || !EqualsIgnoreCase(text.substr(0, kYour.size()), kYour) ||
      std::string_view("-_ ").find(text[kYour.size()]) == std::string_view::npos) {
    return false;
  }
  const bool words = std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalpha(c) || c == '-' || c == '_' || c == ' ';
  });
  return words && is_one_of(kLasts, text.substr(text.find_last_of("-_ ") + 1));
}

}  // namespace

bool IsPlain(std::string_view text) {
  // Letters and digits in turn are what secrets are made of; no word and no number is longer.
  constexpr size_t kWordMin = 3;
  constexpr size_t kWordMax = 20;
  constexpr size_t kNumberMax = 13;  // milliseconds since 1970
  constexpr size_t kNumberBehindWordMax = 3;
  const auto run = [&text](bool (*is)(unsigned char), size_t begin) {
    size_t end = begin;
    while (end < text.size() && is(static_cast<unsigned char>(text[end]))) ++end;
    return end;
  };
  while (!text.empty()) {
    const auto first = static_cast<unsigned char>(text.front());
    size_t end = 1;
    if (absl::ascii_isdigit(first)) {
      end = run(absl::ascii_isdigit, 1);
      if (end > kNumberMax) return false;
      if (end < text.size() && absl::ascii_isalpha(static_cast<unsigned char>(text[end]))) {
        return false;
      }
    } else if (absl::ascii_isalpha(first)) {
      const size_t word = run(absl::ascii_islower, 1);
      end = run(absl::ascii_isdigit, word);
      const bool goes_on =
          end < text.size() && absl::ascii_isalpha(static_cast<unsigned char>(text[end]));
      if (word > kWordMax || end > word + kNumberBehindWordMax || (goes_on && end > word) ||
          ((goes_on || end > word) && word < kWordMin)) {
        return false;
      }
    } else if (std::string_view("-_./:, ").find(text.front()) == std::string_view::npos) {
      return false;
    }
    text.remove_prefix(end);
  }
  return true;
}

bool IsStandIn(std::string_view text) {
  if (text.empty() || text.size() > kTemplateMax) return false;
  if (text.size() >= kRepeatedMin && kMasks.find(text.front()) != std::string_view::npos &&
      text.find_first_not_of(text.front()) == std::string_view::npos) {
    return true;
  }
  for (const std::string_view word : kNothing) {
    if (EqualsIgnoreCase(text, word)) return true;
  }
  if (IsVariable(text) || IsFromDocumentation(text)) return true;
  return std::any_of(std::begin(kTemplates), std::end(kTemplates), [text](const Brackets& one) {
    return text.size() > one.open.size() + one.close.size() && text.starts_with(one.open) &&
           text.ends_with(one.close) &&
           IsExpression(
               text.substr(one.open.size(), text.size() - one.open.size() - one.close.size()));
  });
}

}  // namespace tokenwatch
