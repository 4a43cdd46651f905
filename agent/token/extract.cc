#include "agent/token/extract.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "agent/common/text.h"
#include "agent/token/carriers.h"
#include "agent/token/encoding.h"
#include "agent/token/redact.h"

namespace tokenwatch {
namespace {

constexpr size_t kSchemeMax = 32;

std::string_view Unquote(std::string_view text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
    return TrimBlanks(text.substr(1, text.size() - 2));
  }
  return text;
}

std::string_view FirstWord(std::string_view text) {
  return text.substr(0, std::find_if(text.begin(), text.end(), IsBlank) - text.begin());
}

// A bare value as people write it into headers and parameters that want no scheme.
std::string_view BareValue(std::string_view text) {
  text = Unquote(TrimBlanks(text));
  const std::string_view word = FirstWord(text);
  if (word.size() != text.size() &&
      (EqualsIgnoreCase(word, "bearer") || EqualsIgnoreCase(word, "token"))) {
    text = Unquote(TrimBlanks(text.substr(word.size())));
  }
  return text;
}

// The characters of RFC 9110's token, as a scheme has them.
bool LooksLikeScheme(std::string_view word) {
  if (word.empty() || word.size() > kSchemeMax || !absl::ascii_isalpha(word.front())) return false;
  for (const char c : word) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) &&
        std::string_view("!#$%&'*+-.^_`|~").find(c) == std::string_view::npos) {
      return false;
    }
  }
  return !LooksLikeSecret(word);
}

// A scheme without a row is shown where it is too short to give a secret away.
std::string ShownScheme(std::string_view word) {
  if (word.size() >= SecretFinder::kWindow) return "other";
  return absl::AsciiStrToLower(Printable(word, kSchemeMax));
}

// Takes from `rest` what comes before the first comma outside quotes for whose rest `ends` holds.
template <typename Ends>
std::string_view NextPart(std::string_view* rest, Ends ends) {
  bool quoted = false;
  for (size_t i = 0; i < rest->size(); ++i) {
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

bool BeginsWithScheme(std::string_view text) {
  text = TrimBlanks(text);
  const std::string_view word = FirstWord(text);
  return word.size() != text.size() && FindScheme(word) != nullptr;
}

bool HoldsControls(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

bool IsPrintableAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

class Finder {
 public:
  explicit Finder(Extraction* out) : out_(out) {}

  // `edge`: bytes may be missing behind `value`.
  void CredentialsField(size_t rank, std::string_view value, bool edge);
  void ValueField(size_t rank, std::string_view value, bool edge);
  void Query(std::string_view query, bool edge);

 private:
  // The value of a parameter (RFC 9110 section 11.2; also separated by ';') and whether quotes or a
  // separator prove where it ends.
  struct Parameter {
    std::string_view value;
    bool ended = false;
  };

  // A scheme with its credentials, or a value without scheme.
  void One(std::string_view part, bool edge);
  void ByForm(const SchemeRow& scheme, std::string_view text, bool edge);
  void Basic(std::string_view text, bool edge);
  void List(std::string_view text, bool edge);
  void FromParameter(const SchemeRow& scheme, std::string_view text, bool edge);
  std::optional<Parameter> FindParameter(std::string_view text, std::string_view name);
  void Add(std::string_view secret, std::string_view user, bool unresolved);
  // Adds `secret`, a part of `text`: unresolved if it ends where bytes may be missing.
  void AddPart(std::string_view secret, std::string_view text, bool edge) {
    Add(secret, "", edge && secret.data() + secret.size() == text.data() + text.size());
  }
  std::string_view Keep(SecretBuffer bytes) {
    out_->storage.push_back(std::move(bytes));
    return out_->storage.back().view();
  }
  std::string_view Unfold(std::string_view value);
  void Enter(size_t rank) {
    rank_ = rank;
    scheme_.clear();
  }

  Extraction* out_;
  size_t rank_ = 0;     // of the carrier at hand
  std::string scheme_;  // shown; empty where there is none
};

void Finder::Add(std::string_view secret, std::string_view user, bool unresolved) {
  if (secret.empty() && !unresolved) {
    ++out_->empty;
    return;
  }
  const CarrierRow& row = Carriers()[rank_];
  if (secret.size() > kSecretMax) unresolved = true;
  Credential credential{std::string(row.shown), rank_, secret, user, unresolved};
  if (!scheme_.empty()) credential.carrier.append("/").append(scheme_);
  for (Credential& known : out_->credentials) {
    if (known.unresolved || unresolved || known.secret != secret) continue;
    if (rank_ < known.rank) known = std::move(credential);
    return;
  }
  if (out_->credentials.size() == kCredentialsMax) {
    ++out_->dropped;
    return;
  }
  out_->credentials.push_back(std::move(credential));
}

std::string_view Finder::Unfold(std::string_view value) {
  value = TrimBlanks(value);
  if (value.find_first_of("\r\n") == std::string_view::npos) return value;
  SecretBuffer unfolded;
  unfolded.Reserve(value.size());
  while (!value.empty()) {
    const size_t blanks = std::find_if_not(value.begin(), value.end(), IsBlank) - value.begin();
    if (value.substr(0, blanks).find_first_of("\r\n") != std::string_view::npos) {
      unfolded.Append(' ');
    } else {
      unfolded.Append(value.substr(0, blanks));
    }
    value.remove_prefix(blanks);
    const std::string_view word = FirstWord(value);
    unfolded.Append(word);
    value.remove_prefix(word.size());
  }
  return Keep(std::move(unfolded));
}

void Finder::CredentialsField(size_t rank, std::string_view value, bool edge) {
  value = Unfold(value);
  Enter(rank);
  if (value.empty()) Add("", "", edge);
  while (!value.empty()) {
    const std::string_view part = NextPart(&value, BeginsWithScheme);
    Enter(rank);
    One(part, edge && value.empty());
  }
}

void Finder::One(std::string_view part, bool edge) {
  const std::string_view word = FirstWord(part);
  const SchemeRow* scheme = FindScheme(word);
  if (scheme != nullptr) {
    scheme_ = scheme->name;
    ByForm(*scheme, TrimBlanks(part.substr(word.size())), edge);
    return;
  }
  if (word.size() != part.size() && LooksLikeScheme(word)) {
    scheme_ = ShownScheme(word);
    const std::string_view rest = TrimBlanks(part.substr(word.size()));
    AddPart(Unquote(rest), rest, edge);
    return;
  }
  AddPart(Unquote(part), part, edge);
}

void Finder::ByForm(const SchemeRow& scheme, std::string_view text, bool edge) {
  switch (scheme.form) {
    case SchemeForm::kWhole:
      AddPart(Unquote(text), text, edge);
      break;
    case SchemeForm::kBasic:
      Basic(text, edge);
      break;
    case SchemeForm::kList:
      List(text, edge);
      break;
    case SchemeForm::kParameter:
    case SchemeForm::kParameterOrWhole:
    case SchemeForm::kKeyId:
      FromParameter(scheme, text, edge);
      break;
    case SchemeForm::kBeforeColon:
      AddPart(text.substr(0, text.find(':')), text, edge);
      break;
    case SchemeForm::kPerRequest:
      ++out_->per_request;
      break;
  }
}

void Finder::Basic(std::string_view text, bool edge) {
  const std::string_view encoded = Unquote(text);
  if (edge) {
    AddPart(encoded, encoded, true);
    return;
  }
  std::optional<SecretBuffer> decoded = DecodeBase64(encoded);
  // A line end comes from a shell's echo.
  if (!decoded.has_value() || HoldsControls(TrimBlanks(decoded->view()))) {
    AddPart(encoded, text, false);
    return;
  }
  const std::string_view pair = TrimBlanks(Keep(*std::move(decoded)));
  const size_t colon = pair.find(':');
  if (colon == std::string_view::npos) {
    AddPart(IsPrintableAscii(pair) ? pair : encoded, text, false);
    return;
  }
  const std::string_view user = pair.substr(0, colon);
  const std::string_view password = pair.substr(colon + 1);
  const auto none = PasswordsThatAreNone();
  const bool is_none =
      password.empty() || std::any_of(none.begin(), none.end(), [password](std::string_view word) {
        return EqualsIgnoreCase(word, password);
      });
  if (is_none && !user.empty()) {
    Add(user, "", false);
  } else {
    Add(password, user, false);
  }
}

void Finder::List(std::string_view text, bool edge) {
  bool any = false;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view part = NextPart(&rest, [](std::string_view) { return true; });
    if (part.empty()) continue;
    any = true;
    AddPart(part, text, edge);
  }
  if (!any) Add("", "", edge);
}

void Finder::FromParameter(const SchemeRow& scheme, std::string_view text, bool edge) {
  const std::optional<Parameter> parameter = FindParameter(text, scheme.parameter);
  if (!parameter.has_value()) {
    const size_t equals = text.find('=');
    const bool is_list = equals != std::string_view::npos && text.substr(equals + 1, 1) == "\"";
    if (scheme.form == SchemeForm::kParameterOrWhole && !is_list) {
      AddPart(Unquote(text), text, edge);
    } else if (edge) {
      Add("", "", true);
    } else {
      ++out_->per_request;
    }
    return;
  }
  std::string_view value = parameter->value;
  bool unresolved = edge && !parameter->ended;
  if (scheme.form == SchemeForm::kKeyId) {
    const size_t slash = value.find('/');
    if (slash != std::string_view::npos) unresolved = false;
    value = value.substr(0, slash);
  }
  Add(value, "", unresolved);
}

std::optional<Finder::Parameter> Finder::FindParameter(std::string_view text,
                                                       std::string_view name) {
  constexpr std::string_view kSeparators = ",; \t";
  while (!text.empty()) {
    text.remove_prefix(std::min(text.find_first_not_of(kSeparators), text.size()));
    const size_t name_end = std::min(text.find_first_of("=,; \t"), text.size());
    const bool matches = EqualsIgnoreCase(text.substr(0, name_end), name);
    text.remove_prefix(name_end);
    if (text.empty() || text.front() != '=') continue;
    text.remove_prefix(1);
    if (text.empty() || text.front() != '"') {
      const size_t end = std::min(text.find_first_of(kSeparators), text.size());
      if (matches) return Parameter{text.substr(0, end), end < text.size()};
      text.remove_prefix(end);
      continue;
    }
    text.remove_prefix(1);
    size_t end = 0;
    bool escaped = false;
    while (end < text.size() && text[end] != '"') {
      if (text[end] == '\\' && end + 1 < text.size()) {
        escaped = true;
        ++end;
      }
      ++end;
    }
    const bool ended = end < text.size();
    if (matches && !escaped) return Parameter{text.substr(0, end), ended};
    if (matches) {
      SecretBuffer value;
      for (size_t i = 0; i < end; ++i) {
        if (text[i] == '\\' && i + 1 < end) ++i;
        value.Append(text[i]);
      }
      return Parameter{Keep(std::move(value)), ended};
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return std::nullopt;
}

void Finder::ValueField(size_t rank, std::string_view value, bool edge) {
  value = Unfold(value);
  Enter(rank);
  if (value.empty()) Add("", "", edge);
  while (!value.empty()) {
    const std::string_view part = NextPart(
        &value, [](std::string_view after) { return !after.empty() && IsBlank(after.front()); });
    AddPart(BareValue(part), part, edge && value.empty());
  }
}

void Finder::Query(std::string_view query, bool edge) {
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    const bool pair_edge = edge && end == query.size();
    query.remove_prefix(std::min(end + 1, query.size()));
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    std::string_view name = pair.substr(0, equals);
    SecretBuffer decoded_name;
    if (name.find('%') != std::string_view::npos) {
      decoded_name = DecodePercent(name);
      name = decoded_name.view();
    }
    const auto rows = Carriers();
    for (size_t rank = 0; rank < rows.size(); ++rank) {
      const CarrierRow& row = rows[rank];
      if (row.kind != CarrierKind::kQuery || !EqualsIgnoreCase(row.name, name)) continue;
      Enter(rank);
      std::string_view value = pair.substr(equals + 1);
      if (value.find('%') != std::string_view::npos) value = Keep(DecodePercent(value));
      Add(BareValue(value), "", pair_edge);
      break;
    }
  }
}

}  // namespace

Extraction FindCredentials(const RequestHead& request) {
  Extraction out;
  Finder finder(&out);
  const auto rows = Carriers();
  for (size_t i = 0; i < request.fields.size(); ++i) {
    const HeaderField& field = request.fields[i];
    const bool edge = request.cut && i + 1 == request.fields.size();
    for (size_t rank = 0; rank < rows.size(); ++rank) {
      if (rows[rank].kind == CarrierKind::kQuery ||
          !EqualsIgnoreCase(rows[rank].name, field.name)) {
        continue;
      }
      if (rows[rank].kind == CarrierKind::kCredentials) {
        finder.CredentialsField(rank, field.value, edge);
      } else {
        finder.ValueField(rank, field.value, edge);
      }
      break;
    }
  }
  const std::string_view target = request.target.substr(0, request.target.find('#'));
  const size_t question = target.find('?');
  if (question != std::string_view::npos) {
    finder.Query(target.substr(question + 1),
                 request.cut && request.fields.empty() && target.size() == request.target.size());
  }
  std::stable_sort(out.credentials.begin(), out.credentials.end(),
                   [](const Credential& a, const Credential& b) { return a.rank < b.rank; });
  return out;
}

std::string_view NormalisePasted(std::string_view pasted) { return BareValue(pasted); }

}  // namespace tokenwatch
