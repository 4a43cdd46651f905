#include "agent/common/http_target.h"

#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

constexpr size_t kMaxParameters = 64;

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::optional<std::string> Decode(const std::string& text, bool plus_is_blank) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size() || HexDigit(text[i + 1]) < 0 || HexDigit(text[i + 2]) < 0) {
        return std::nullopt;
      }
      c = static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2]));
      i += 2;
    } else if (c == '+' && plus_is_blank) {
      c = ' ';
    }
    if (c == '\0') return std::nullopt;
    decoded += c;
  }
  return decoded;
}

}  // namespace

absl::StatusOr<HttpTarget> ParseHttpTarget(const std::string& target) {
  std::string rest = target;
  if (const size_t scheme = rest.find("://"); scheme != std::string::npos && rest[0] != '/') {
    const size_t slash = rest.find('/', scheme + 3);
    rest = slash == std::string::npos ? "/" : rest.substr(slash);
  }
  if (!rest.starts_with('/')) {
    return absl::InvalidArgumentError("the request's path must begin with '/'");
  }
  rest = rest.substr(0, rest.find('#'));
  const size_t question = rest.find('?');
  std::optional<std::string> path = Decode(rest.substr(0, question), false);
  if (!path.has_value()) {
    return absl::InvalidArgumentError("the request's path holds a bad percent escape");
  }
  HttpTarget parsed;
  parsed.path = *std::move(path);
  if (question == std::string::npos) return parsed;

  const std::string query = rest.substr(question + 1);
  for (size_t begin = 0; begin <= query.size();) {
    const size_t end = std::min(query.find('&', begin), query.size());
    const std::string field = query.substr(begin, end - begin);
    begin = end + 1;
    if (field.empty()) continue;
    const size_t equals = std::min(field.find('='), field.size());
    std::optional<std::string> name = Decode(field.substr(0, equals), true);
    std::optional<std::string> value =
        equals == field.size() ? "" : Decode(field.substr(equals + 1), true);
    if (!name.has_value() || !value.has_value()) {
      return absl::InvalidArgumentError("a query parameter holds a bad percent escape");
    }
    if (parsed.parameters.size() == kMaxParameters) {
      return absl::InvalidArgumentError(
          absl::StrCat("more than ", kMaxParameters, " query parameters"));
    }
    parsed.parameters.emplace_back(*std::move(name), *std::move(value));
  }
  return parsed;
}

std::string PercentEncode(const std::string& text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || c == '-' || c == '.' || c == '_' || c == '~') {
      encoded += c;
    } else {
      encoded += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return encoded;
}

}  // namespace tokenwatch
