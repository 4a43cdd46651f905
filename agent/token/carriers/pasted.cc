#include "agent/token/carriers/pasted.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/common/text.h"
#include "agent/http/exchange.h"
#include "agent/token/carriers/carriers.h"
#include "agent/token/carriers/extract.h"
#include "agent/token/secret/redact.h"

namespace tokenwatch {
namespace {

constexpr char kWhatToPaste[] =
    "paste the token alone, a header line such as 'Authorization: Bearer ...', or NAME=value";

// Without the quotes that a shell takes away.
std::string_view Unquote(std::string_view text) {
  const bool quoted = text.size() >= 2 && text.front() == text.back() &&
                      (text.front() == '"' || text.front() == '\'');
  return quoted ? TrimBlanks(text.substr(1, text.size() - 2)) : text;
}

// Without a word and the blanks behind it, where `text` begins with them.
bool SkipWord(std::string_view word, std::string_view* text) {
  if (!text->starts_with(word) || text->size() == word.size() || !IsBlank((*text)[word.size()])) {
    return false;
  }
  *text = TrimBlanks(text->substr(word.size()));
  return true;
}

absl::Status InTheWay(const std::string& character) {
  return absl::InvalidArgumentError(
      absl::StrCat("this is no token, as it holds ", character, ": ", kWhatToPaste));
}

absl::StatusOr<Pasted> Whole(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n' || c == '\r') return InTheWay("a line end");
    if (c == ' ' || c == '\t') return InTheWay("a blank");
    if (byte < 0x20 || byte == 0x7f) {
      return InTheWay(absl::StrFormat("the control character 0x%02x", byte));
    }
    if (byte > 0x7e) return InTheWay("a character outside of ASCII");
    if (c == '"' || c == '\'') return InTheWay("a quote");
  }
  return Pasted{SecretBuffer(text), ""};
}

absl::StatusOr<Pasted> TheOne(const RequestHead& request, const SecretShapes* shapes) {
  const Extraction found = FindCredentials(request, {{"*"}, shapes});
  if (found.credentials.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat("this holds several secrets: ", kWhatToPaste));
  }
  if (found.credentials.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        found.per_request != 0
            ? "these credentials serve a single request, so that nothing is known by them: "
            : "this holds no secret that agents know of: ",
        kWhatToPaste));
  }
  const Credential& credential = found.credentials.front();
  if (credential.unresolved) return absl::InvalidArgumentError("that is too long for a secret");
  return Pasted{SecretBuffer(credential.secret),
                absl::StrCat("the secret in ", std::string(credential.carrier))};
}

absl::StatusOr<Pasted> Field(std::string_view name, std::string_view value,
                             const SecretShapes* shapes) {
  if (value.find_first_of("\r\n") != std::string_view::npos) return InTheWay("a line end");
  const HeaderField field = {name, TrimBlanks(value)};
  RequestHead request;
  request.fields = absl::MakeConstSpan(&field, 1);
  return TheOne(request, shapes);
}

// As the name of a header field.
bool IsWord(std::string_view text) {
  return AllOf(text,
               [](unsigned char c) { return absl::ascii_isalnum(c) || c == '-' || c == '_'; });
}

// What an agent would find; nothing where `text` has none of the forms that it knows.
std::optional<absl::StatusOr<Pasted>> AsAgentsDo(std::string_view text,
                                                 const SecretShapes* shapes) {
  const size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    const std::string_view name = text.substr(0, colon);
    const std::string_view value = text.substr(colon + 1);
    const NameIs is = FindFieldName(name).is;
    if (is == NameIs::kCarrier) return Field(name, value, shapes);
    if (is == NameIs::kUnknown && shapes != nullptr && value.starts_with(' ') && IsWord(name)) {
      auto found = Field(name, value, shapes);
      if (found.ok()) return found;
    }
  }
  constexpr std::string_view kSchemes[] = {"https://", "http://", "wss://", "ws://"};
  if (std::any_of(std::begin(kSchemes), std::end(kSchemes),
                  [text](std::string_view scheme) { return text.starts_with(scheme); })) {
    if (std::any_of(text.begin(), text.end(), IsBlank)) return InTheWay("a blank");
    RequestHead request;
    request.target = text;
    return TheOne(request, shapes);
  }
  const size_t blank = std::find_if(text.begin(), text.end(), IsBlank) - text.begin();
  // "KEY = X" is no scheme with its credentials.
  if (blank != text.size() && FindScheme(text.substr(0, blank)) != nullptr &&
      !TrimBlanks(text.substr(blank)).starts_with('=')) {
    return Field("authorization", text, shapes);
  }
  return std::nullopt;
}

// The name of an assignment; empty where `text` is none. A token may end in '=', of base64.
std::string_view AssignedName(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos ||
      text.find_first_not_of('=', equals) == std::string_view::npos) {
    return "";
  }
  const std::string_view name = text.substr(0, equals);
  const bool is_name =
      AllOf(name, [](unsigned char c) { return absl::ascii_isalnum(c) || c == '_'; }) &&
      !absl::ascii_isdigit(static_cast<unsigned char>(name.front()));
  return is_name ? name : "";
}

}  // namespace

absl::StatusOr<Pasted> ReadPasted(std::string_view text, const SecretShapes* shapes) {
  text = TrimBlanks(text);
  if (!SkipWord("-H", &text)) SkipWord("--header", &text);
  const std::string_view bare = Unquote(text);
  if (bare.empty()) return absl::InvalidArgumentError("there is no secret");
  if (auto found = AsAgentsDo(bare, shapes)) return *std::move(found);
  // A shell takes what is in quotes as it stands.
  if (bare.size() != text.size()) return Whole(bare);
  const bool is_exported = SkipWord("export", &text);
  const std::string_view name = AssignedName(text);
  if (name.empty() || LooksLikeSecret(name)) return Whole(is_exported ? bare : text);
  const std::string_view value = Unquote(text.substr(name.size() + 1));
  if (value.empty()) return absl::InvalidArgumentError("the value is empty");
  auto found = AsAgentsDo(value, shapes);
  absl::StatusOr<Pasted> pasted = found.has_value() ? *std::move(found) : Whole(value);
  if (pasted.ok()) pasted->taken = absl::StrCat("the value of ", std::string(name.substr(0, 60)));
  return pasted;
}

}  // namespace tokenwatch
