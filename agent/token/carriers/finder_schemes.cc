// Authorization: schemes and values without one.
#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "agent/common/text.h"
#include "agent/token/carriers/field_text.h"
#include "agent/token/carriers/finder.h"
#include "agent/token/carriers/stand_in.h"
#include "agent/token/secret/encoding.h"
#include "agent/token/secret/redact.h"

namespace tokenwatch {
namespace {

constexpr size_t kSchemeMax = 32;

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

// Whether a form's encoder could have made the text (WHATWG URL,
// "application/x-www-form-urlencoded"; some leave '~', others encode '*'): nothing stands for
// itself that must not, and nothing is encoded that need not be, nor is it a control character.
bool IsFormEncoded(std::string_view text) {
  const auto stands_for_itself = [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_';
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c != '%') {
      if (!stands_for_itself(c) && c != '+' && c != '*' && c != '~') return false;
      continue;
    }
    if (i + 2 >= text.size()) return false;
    const SecretBuffer decoded = DecodePercent(text.substr(i, 3));
    if (decoded.size() != 1) return false;
    const auto byte = static_cast<unsigned char>(decoded.view().front());
    if (stands_for_itself(byte) || byte < 0x20 || byte == 0x7f) return false;
    i += 2;
  }
  return true;
}

bool IsPlanetScaleId(std::string_view text) {
  constexpr size_t kIdMax = 16;
  return text.size() <= kIdMax && AllOf(text, [](unsigned char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c);
         });
}

// Whether what a shared access signature is for may be shown: a place that names no user and holds
// no parameter and no secret.
bool IsPlainResource(std::string_view resource) {
  if (resource.find_first_of("?#@;&") != std::string_view::npos) return false;
  while (!resource.empty()) {
    const size_t end = std::min(resource.find('/'), resource.size());
    if (LooksLikeSecret(resource.substr(0, end))) return false;
    resource.remove_prefix(std::min(end + 1, resource.size()));
  }
  return true;
}

bool BeginsWithScheme(std::string_view text) {
  text.remove_prefix(std::find_if_not(text.begin(), text.end(), IsBlank) - text.begin());
  const std::string_view word = FirstWord(text, kSchemeMax + 1);
  return word.size() < text.size() && IsBlank(text[word.size()]) && FindScheme(word) != nullptr;
}

// Rather than a name or a word.
bool MayBeSecret(std::string_view text) {
  constexpr size_t kShortest = 8;
  return text.size() >= kShortest && !IsPlain(text);
}

bool HoldsControls(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

bool IsPrintableAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

}  // namespace

void CredentialFinder::CredentialsField(size_t rank, std::string_view value, bool edge) {
  Enter(rank);
  if (value.empty()) Add("", "", edge);
  while (!value.empty()) {
    const std::string_view part = NextPart(&value, BeginsWithScheme);
    Enter(rank);
    One(part, edge && value.empty());
  }
}

void CredentialFinder::One(std::string_view part, bool edge) {
  if (const std::string_view inside = Unquote(part);
      inside.size() != part.size() && BeginsWithScheme(inside)) {
    part = inside;
    edge = false;  // the quotes end
  }
  const std::string_view word = FirstWord(part);
  scheme_row_ = FindScheme(word);
  if (scheme_row_ == nullptr && word.ends_with(':') && word.size() != part.size()) {
    scheme_row_ = FindScheme(word.substr(0, word.size() - 1));
  }
  if (scheme_row_ != nullptr) {
    ByForm(*scheme_row_, TrimBlanks(part.substr(word.size())), edge);
    return;
  }
  if (word.size() != part.size() && LooksLikeScheme(word)) {
    addition_ = word;
    const std::string_view rest = TrimBlanks(part.substr(word.size()));
    if (!edge && Signature(word, rest)) return;
    AddPart(Unquote(rest), rest, edge);
    return;
  }
  Raw(part, edge);
}

// The parameters have the names that most schemes give them. Without a row nobody says that these
// are all, so that an id is shown only where a signature is beside it.
bool CredentialFinder::Signature(std::string_view scheme, std::string_view text) {
  constexpr std::string_view kSignatures[] = {"signature",       "sig", "sign",
                                              "oauth_signature", "mac", "hmac"};
  constexpr std::string_view kOnce[] = {"nonce", "timestamp", "ts"};
  constexpr std::string_view kIds[] = {
      "credential",     "keyid",     "key_id",    "key-id",   "accesskeyid",
      "access_key_id",  "accesskey", "access",    "apikey",   "api_key",
      "appid",          "app_id",    "client_id", "clientid", "oauth_consumer_key",
      "awsaccesskeyid", "id",        "username",  "user",     "key"};
  const auto first_of = [text](absl::Span<const std::string_view> names) {
    for (const std::string_view name : names) {
      const std::optional<FieldParameter> found = FindFieldParameter(text, name, true);
      if (found.has_value() && !found->value.empty()) return found->value;
    }
    return std::string_view();
  };
  const bool is_signed = !first_of(kSignatures).empty();
  if (is_signed || !first_of(kOnce).empty()) {
    const std::string_view id = first_of(kIds);
    if (id.empty()) {
      ++out_->per_request;
    } else {
      AddPublic(id.substr(0, is_signed ? id.find('/') : id.size()), false, is_signed);
    }
    return true;
  }
  constexpr std::string_view kHmac = "hmac";
  const bool is_hmac =
      std::search(scheme.begin(), scheme.end(), kHmac.begin(), kHmac.end(), [](char a, char b) {
        return absl::ascii_tolower(static_cast<unsigned char>(a)) == b;
      }) != scheme.end();
  const size_t colon = text.find(':');
  if (!is_hmac || colon == std::string_view::npos || colon + 1 == text.size()) return false;
  AddPublic(text.substr(0, colon), false);
  return true;
}

void CredentialFinder::Raw(std::string_view part, bool edge) {
  for (const SchemeRow& form : RawForms()) {
    if (!BeginsIgnoringCase(part, form.name)) continue;
    const bool of_rest = form.form == SchemeForm::kBeforeSlash;
    ByForm(form, of_rest ? part.substr(form.name.size()) : part, edge);
    return;
  }
  // PlanetScale sends its token behind its public id.
  const size_t colon = part.find(':');
  if (colon != std::string_view::npos && part.substr(colon + 1).starts_with("pscale_")) {
    const std::string_view token = part.substr(colon + 1);
    const std::string_view id = part.substr(0, colon);
    Credential* credential = Add(token, id, IsAtEdge(token, part, edge));
    if (credential != nullptr) credential->user_is_public = IsPlanetScaleId(id);
    return;
  }
  AddPart(BareValue(part), part, edge);
}

void CredentialFinder::ByForm(const SchemeRow& scheme, std::string_view text, bool edge) {
  switch (scheme.form) {
    case SchemeForm::kWhole:
      AddPart(BareValue(text), text, edge);
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
    case SchemeForm::kBeforeSlash: {
      const char end = scheme.form == SchemeForm::kBeforeColon ? ':' : '/';
      const size_t at = text.find(end);
      if (at == std::string_view::npos) {
        AddPart(Unquote(text), text, edge);
      } else {
        AddPublic(text.substr(0, at), false, at + 1 < text.size());
      }
      break;
    }
    case SchemeForm::kSharedAccess:
      SharedAccess(text, edge);
      break;
    case SchemeForm::kCosmos:
      Cosmos(text, edge);
      break;
    case SchemeForm::kPerRequest:
      ++out_->per_request;
      break;
  }
}

void CredentialFinder::Basic(std::string_view text, bool edge) {
  const std::string_view encoded = Unquote(text);
  if (edge) {
    AddPart(encoded, encoded, true);
    return;
  }
  std::optional<SecretBuffer> decoded = DecodeBase64(encoded);
  // A line end comes from a shell's echo; Google's registries take a file of JSON as password.
  if (!decoded.has_value() ||
      (HoldsControls(TrimBlanks(decoded->view())) && !decoded->view().starts_with("_json_key:{"))) {
    AddPart(encoded, text, false);
    return;
  }
  const std::string_view pair = TrimBlanks(Keep(*std::move(decoded)));
  const size_t colon = pair.find(':');
  if (colon == std::string_view::npos) {
    AddPart(IsPrintableAscii(pair) ? pair : encoded, text, false);
    return;
  }
  UserAndPassword(FormDecoded(pair.substr(0, colon)), FormDecoded(pair.substr(colon + 1)));
}

// OAuth's clients encode both parts as forms are (RFC 6749 section 2.3.1), so that a secret with a
// '/' is another text than in the form itself. Only what an encoder may have made is decoded: a '%'
// or two in a password prove nothing.
std::string_view CredentialFinder::FormDecoded(std::string_view text) {
  if (text.find('%') == std::string_view::npos || !IsFormEncoded(text)) return text;
  SecretBuffer plain;
  for (const char c : text) plain.Append(c == '+' ? ' ' : c);
  return Keep(DecodePercent(plain.view()));
}

void CredentialFinder::UserAndPassword(std::string_view user, std::string_view password) {
  const auto is_one_of = [](absl::Span<const std::string_view> words, std::string_view text) {
    return std::any_of(words.begin(), words.end(),
                       [text](std::string_view word) { return EqualsIgnoreCase(word, text); });
  };
  if (IsSignedPair(user, password)) {
    AddPublic(user, false);
    return;
  }
  const bool may_be_key = MayBeSecret(user) && user.find('@') == std::string_view::npos;
  const bool is_none =
      password.empty() ||
      (may_be_key && (IsStandIn(password) || is_one_of(PasswordsThatAreNone(), password)));
  if (is_none && !user.empty() && !is_one_of(FixedUsers(), user)) {
    Add(user, "", false);
    return;
  }
  // A token that stands where users do is one, whatever a password is beside it, and no name.
  if (!IsPublicUser(user) && IsToken(user)) {
    Add(user, "", false);
    if (MayBeSecret(password)) Add(password, "", false);
    return;
  }
  Credential* credential = Add(password, user, false);
  if (credential != nullptr && !user.empty()) credential->user_is_public = IsPublicUser(user);
}

void CredentialFinder::List(std::string_view text, bool edge) {
  bool any = false;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view part = NextPart(&rest, [](std::string_view) { return true; });
    if (part.empty()) continue;
    any = true;
    AddPart(part, text, edge);
  }
  if (!any) Add("", "", edge);
}

void CredentialFinder::FromParameter(const SchemeRow& scheme, std::string_view text, bool edge) {
  const bool is_key_id = scheme.form == SchemeForm::kKeyId;
  std::optional<FieldParameter> parameter;
  if (!scheme.parameter.empty()) parameter = FindFieldParameter(text, scheme.parameter, false);
  const bool is_public = !parameter.has_value();
  if (is_public && !scheme.public_parameter.empty()) {
    parameter = FindFieldParameter(text, scheme.public_parameter, is_key_id);
  }
  if (!parameter.has_value()) {
    const size_t equals = text.find('=');
    const bool is_list = equals != std::string_view::npos && text.substr(equals + 1, 1) == "\"";
    if (scheme.form == SchemeForm::kParameterOrWhole && !is_list) {
      AddPart(BareValue(text), text, edge);
    } else if (edge) {
      Add("", "", true);
    } else {
      ++out_->per_request;
    }
    return;
  }
  std::string_view value = parameter->value;
  // Where the end is missing a secret parameter may have followed the public one.
  bool unresolved = edge && (!parameter->ended || (is_public && !scheme.parameter.empty()));
  if (is_key_id) {
    const size_t slash = value.find('/');
    if (slash != std::string_view::npos) unresolved = false;
    value = value.substr(0, slash);
  }
  if (parameter->escaped) {
    SecretBuffer unescaped;
    for (size_t i = 0; i < value.size(); ++i) {
      if (value[i] == '\\' && i + 1 < value.size()) ++i;
      unescaped.Append(value[i]);
    }
    value = Keep(std::move(unescaped));
  }
  if (is_public) {
    const std::optional<FieldParameter> signature =
        FindFieldParameter(text, scheme.signed_by, is_key_id);
    AddPublic(value, unresolved,
              scheme.signed_by.empty() || (signature.has_value() && !signature->value.empty()));
  } else {
    Add(value, "", unresolved);
  }
}

void CredentialFinder::SharedAccess(std::string_view text, bool edge) {
  if (edge) {
    Add("", "", true);
    return;
  }
  const std::string_view resource = Decoded(QueryValue(text, "sr"));
  const std::string_view key = Decoded(QueryValue(text, "skn"));
  if (resource.empty()) {
    ++out_->per_request;
  } else if (key.empty()) {
    AddPublic(resource, false, IsPlainResource(resource));
  } else {
    SecretBuffer identity(key);
    identity.Append('@');
    identity.Append(resource);
    AddPublic(Keep(std::move(identity)), false, IsPlainResource(resource) && !LooksLikeSecret(key));
  }
}

void CredentialFinder::Cosmos(std::string_view text, bool edge) {
  if (edge) {
    AddPart(text, text, true);
    return;
  }
  text = Decoded(text);
  const std::string_view type = QueryValue(text, "type");
  if (EqualsIgnoreCase(type, "master")) {
    ++out_->per_request;
  } else if (EqualsIgnoreCase(type, "aad")) {
    Add(QueryValue(text, "sig"), "", false);
  } else {
    Add(text, "", false);
  }
}

}  // namespace tokenwatch
