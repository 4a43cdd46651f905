#include "agent/token/carriers/stand_in.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
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

}  // namespace

bool IsStandIn(std::string_view text) {
  if (text.empty() || text.size() > kTemplateMax) return false;
  if (text.size() >= kRepeatedMin && kMasks.find(text.front()) != std::string_view::npos &&
      text.find_first_not_of(text.front()) == std::string_view::npos) {
    return true;
  }
  for (const std::string_view word : kNothing) {
    if (EqualsIgnoreCase(text, word)) return true;
  }
  if (IsVariable(text)) return true;
  return std::any_of(std::begin(kTemplates), std::end(kTemplates), [text](const Brackets& one) {
    return text.size() > one.open.size() + one.close.size() && text.starts_with(one.open) &&
           text.ends_with(one.close) &&
           IsExpression(
               text.substr(one.open.size(), text.size() - one.open.size() - one.close.size()));
  });
}

}  // namespace tokenwatch
