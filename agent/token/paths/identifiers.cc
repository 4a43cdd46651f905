#include "agent/token/paths/identifiers.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/common/text.h"
#include "agent/token/secret/redact.h"

namespace tokenwatch {
namespace {

constexpr size_t kLongest = 320;  // of a mail address (RFC 5321 section 4.5.3.1)

bool IsDigit(unsigned char c) { return absl::ascii_isdigit(c); }
bool IsLower(unsigned char c) { return absl::ascii_islower(c); }
bool IsAlnum(unsigned char c) { return absl::ascii_isalnum(c); }
bool IsDomainByte(unsigned char c) { return IsAlnum(c) || c == '.' || c == '-'; }
bool IsLocalByte(unsigned char c) {
  return IsDomainByte(c) || c == '_' || c == '+' || c == '%' || c == '~';
}

// A name of a host, not "18.2.0" of a package.
bool IsMailDomain(std::string_view domain) {
  const size_t dot = domain.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return false;
  std::string_view top = domain.substr(dot + 1), rest = domain.substr(0, dot);
  if (rest.starts_with('v')) rest.remove_prefix(1);
  if (top.size() < 2 || !AllOf(top, absl::ascii_isalpha)) return false;
  return rest.find('.') == std::string_view::npos ||
         std::any_of(rest.begin(), rest.end(),
                     [](char c) { return absl::ascii_isalpha(static_cast<unsigned char>(c)); });
}

std::optional<std::string> Mail(std::string_view segment) {
  size_t at = segment.find('@'), behind = at + 1;
  if (at == std::string_view::npos) {
    at = segment.find("%40");
    behind = at + 3;
  }
  if (at == std::string_view::npos || segment.size() > kLongest) return std::nullopt;
  size_t begin = at;
  while (begin > 0 && IsLocalByte(static_cast<unsigned char>(segment[begin - 1]))) --begin;
  size_t end = behind;
  while (end < segment.size() && IsDomainByte(static_cast<unsigned char>(segment[end]))) ++end;
  if (begin == at || !IsMailDomain(segment.substr(behind, end - behind))) return std::nullopt;
  return absl::StrCat(Printable(segment.substr(0, begin), kLongest), "{email}",
                      Printable(segment.substr(end), kLongest));
}

bool IsPhone(std::string_view segment) {
  if (segment.starts_with("tel:")) segment.remove_prefix(4);
  if (segment.starts_with('+')) {
    segment.remove_prefix(1);
  } else if (segment.starts_with("%2B") || segment.starts_with("%2b")) {
    segment.remove_prefix(3);
  } else {
    return false;
  }
  const auto digits = static_cast<size_t>(std::count_if(segment.begin(), segment.end(), IsDigit));
  return digits >= 7 && digits <= 15 && std::all_of(segment.begin(), segment.end(), [](char c) {
           return IsDigit(static_cast<unsigned char>(c)) || c == '-' || c == '.';
         });
}

bool IsIpv4(std::string_view text) {
  for (int part = 0; part < 4; ++part) {
    const std::string_view number = text.substr(0, text.find('.'));
    if (number.size() > 3 || !AllOf(number, IsDigit)) return false;
    int value = 0;
    for (const char c : number) value = value * 10 + (c - '0');
    if (value > 255) return false;
    text.remove_prefix(std::min(number.size() + (part < 3 ? 1 : 0), text.size()));
  }
  return text.empty();
}

bool IsIpv6(std::string_view text) {
  const auto colons = std::count(text.begin(), text.end(), ':');
  const bool has_digits = std::any_of(text.begin(), text.end(), absl::ascii_isxdigit);
  return has_digits && text.size() <= 45 && colons <= 7 &&
         (colons == 7 || text.find("::") != std::string_view::npos) &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return c == ':' || c == '.' || absl::ascii_isxdigit(static_cast<unsigned char>(c));
         });
}

bool IsDate(std::string_view text) {
  constexpr std::string_view kShape = "0000-00-00";
  if (text.size() < kShape.size()) return false;
  for (size_t i = 0; i < kShape.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (kShape[i] == '0' ? !IsDigit(c) : c != '-') return false;
  }
  const std::string_view month = text.substr(5, 2), day = text.substr(8, 2);
  const bool real = month >= "01" && month <= "12" && day >= "01" && day <= "31";
  return real && (text.size() == kShape.size() || text[kShape.size()] == 'T');
}

// Letters in words between '_', then an id.
std::optional<std::string> Prefixed(std::string_view segment) {
  constexpr size_t kPrefixMax = 16;
  const size_t mark = segment.find_last_of("_-");
  if (mark == std::string_view::npos || mark == 0 || mark > kPrefixMax) return std::nullopt;
  const std::string_view prefix = segment.substr(0, mark), id = segment.substr(mark + 1);
  if (!std::all_of(prefix.begin(), prefix.end(),
                   [](char c) { return IsLower(static_cast<unsigned char>(c)) || c == '_'; })) {
    return std::nullopt;
  }
  if (!AllOf(id, IsAlnum)) return std::nullopt;
  const auto digits = std::count_if(id.begin(), id.end(), IsDigit);
  const bool mixed = std::any_of(id.begin(), id.end(), absl::ascii_isupper) &&
                     std::any_of(id.begin(), id.end(), absl::ascii_islower);
  const bool number = AllOf(id, IsDigit) && id.size() >= 4;
  const bool random =
      segment[mark] == '_' && id.size() >= 8 && (digits >= 3 || (mixed && digits >= 1));
  if (!number && !random) return std::nullopt;
  return absl::StrCat(absl::string_view(segment.data(), mark + 1), "{id}");
}

}  // namespace

std::optional<std::string> ShownIdentifier(std::string_view segment, bool first) {
  if (std::optional<std::string> mail = Mail(segment); mail.has_value()) return mail;
  if (IsPhone(segment)) return "{phone}";
  if (IsIpv4(segment) || IsIpv6(segment)) return "{ip}";
  if (!first && IsDate(segment)) return "{date}";
  return Prefixed(segment);
}

}  // namespace tokenwatch
