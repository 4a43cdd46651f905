#include "agent/token/formats/sample.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/token/formats/checksums.h"

namespace tokenwatch {
namespace {

constexpr size_t kLengthMax = 65536;
constexpr size_t kDepthMax = 8;

constexpr struct {
  std::string_view name, characters;
} kAlphabets[] = {
    {"hex", "0123456789abcdef"},
    {"HEX", "0123456789ABCDEF"},
    {"b62", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"},
    {"b64", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/"},
    {"b64url", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"},
    {"b32", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"},
    {"b32l", "abcdefghijklmnopqrstuvwxyz234567"},
    {"an36", "0123456789abcdefghijklmnopqrstuvwxyz"},
    {"AN36", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
    {"alpha", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"},
    {"lower", "abcdefghijklmnopqrstuvwxyz"},
    {"upper", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
    {"dig", "0123456789"},
    {"w", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"},
};
absl::Status Refuse(std::string_view what, std::string_view where) {
  return absl::InvalidArgumentError(absl::StrCat(
      std::string(what), " '", absl::CHexEscape(std::string(where.substr(0, 40))), "'"));
}

// Not std::uniform_int_distribution, which differs between libraries.
size_t Below(size_t bound, SampleRandom* random) { return (*random)() % bound; }

void Append(std::string_view alphabet, size_t count, SampleRandom* random, std::string* out) {
  for (size_t i = 0; i < count; ++i) *out += alphabet[Below(alphabet.size(), random)];
}

void AppendUuid(SampleRandom* random, std::string* out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const char c : std::string_view("xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx")) {
    *out += c == 'x' ? kHex[Below(16, random)] : c == 'y' ? kHex[8 + Below(4, random)] : c;
  }
}

std::optional<size_t> Number(std::string_view text) {
  size_t number = 0;
  if (text.empty() || !absl::SimpleAtoi(std::string(text), &number) || number > kLengthMax) {
    return std::nullopt;
  }
  return number;
}

absl::Status AppendRun(std::string_view token, SampleRandom* random, std::string* out) {
  const size_t colon = token.find(':');
  const std::string_view name = token.substr(0, colon);
  const auto* const row = std::find_if(std::begin(kAlphabets), std::end(kAlphabets),
                                       [name](const auto& one) { return one.name == name; });
  if (row == std::end(kAlphabets)) return Refuse("no alphabet is called", name);
  const std::string_view count =
      colon == std::string_view::npos ? std::string_view() : token.substr(colon + 1);
  const size_t dash = count.find('-');
  const std::optional<size_t> from = Number(count.substr(0, dash));
  const std::optional<size_t> to =
      dash == std::string_view::npos ? from : Number(count.substr(dash + 1));
  if (!from.has_value() || !to.has_value() || *to < *from) {
    return Refuse("not a number of characters:", token);
  }
  Append(row->characters, *from + Below(*to - *from + 1, random), random, out);
  return absl::OkStatus();
}

absl::Status AppendAll(std::string_view text, size_t depth, SampleRandom* random, std::string* out);

absl::Status AppendToken(std::string_view token, size_t depth, SampleRandom* random,
                         std::string* out) {
  if (token == "uuid") {
    AppendUuid(random, out);
    return absl::OkStatus();
  }
  if (token == "crc32_base62") {
    if (out->size() < 30) return Refuse("fewer than 30 characters come before", token);
    *out += Crc32Base62(std::string_view(*out).substr(out->size() - 30));
    return absl::OkStatus();
  }
  const bool plain = token.starts_with("64:");
  if (!plain && !token.starts_with("64url:")) return AppendRun(token, random, out);
  std::string inside;
  absl::Status status = AppendAll(token.substr(token.find(':') + 1), depth + 1, random, &inside);
  if (!status.ok()) return status;
  *out += plain ? absl::Base64Escape(inside) : absl::WebSafeBase64Escape(inside);
  return absl::OkStatus();
}

absl::Status AppendAll(std::string_view text, size_t depth, SampleRandom* random,
                       std::string* out) {
  if (depth > kDepthMax) return Refuse("too many '<' in each other before", text);
  while (!text.empty()) {
    if (out->size() > kLengthMax) return absl::InvalidArgumentError("it makes more than 64 KiB");
    if (text.front() != '<') {
      const size_t end = std::min(text.find('<'), text.size());
      out->append(text.substr(0, end));
      text.remove_prefix(end);
      continue;
    }
    size_t end = 1;
    for (size_t open = 1; open > 0; ++end) {
      if (end == text.size()) return Refuse("a '<' without '>':", text);
      if (text[end] == '<') ++open;
      if (text[end] == '>') --open;
    }
    if (absl::Status status = AppendToken(text.substr(1, end - 2), depth, random, out);
        !status.ok()) {
      return status;
    }
    text.remove_prefix(end);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> MakeSample(std::string_view text, SampleRandom* random) {
  std::string made;
  if (absl::Status status = AppendAll(text, 0, random, &made); !status.ok()) return status;
  if (made.size() > kLengthMax) return absl::InvalidArgumentError("it makes more than 64 KiB");
  return made;
}

}  // namespace tokenwatch
