#include "agent/token/extract.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/common/text.h"
#include "agent/token/carriers.h"
#include "agent/token/cookie_rules.h"
#include "agent/token/encoding.h"
#include "agent/token/field_text.h"
#include "agent/token/redact.h"
#include "agent/token/registry_auth.h"
#include "agent/token/secret_paths.h"

namespace tokenwatch {
namespace {

constexpr size_t kSchemeMax = 32;
constexpr size_t kNameMax = 64;
// What may be a self-identifying token: no shorter one identifies itself, no longer one is sent.
constexpr size_t kShapeMin = 16;
constexpr size_t kShapeMax = 8192;
constexpr std::string_view kOther = "other";

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

bool BeginsWithScheme(std::string_view text) {
  text.remove_prefix(std::find_if_not(text.begin(), text.end(), IsBlank) - text.begin());
  const std::string_view word = FirstWord(text, kSchemeMax + 1);
  return word.size() < text.size() && IsBlank(text[word.size()]) && FindScheme(word) != nullptr;
}

bool HoldsControls(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

bool IsPrintableAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

bool IsOneWord(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c <= 0x7e; });
}

bool BeginsIgnoringCase(std::string_view text, std::string_view beginning) {
  return EqualsIgnoreCase(text.substr(0, beginning.size()), beginning);
}

// What the rows of kCredentials show with a scheme's row, so that the usual request needs no
// memory for it.
class ShownCarriers {
 public:
  static const ShownCarriers& Get() {
    static const ShownCarriers all;
    return all;
  }

  std::string_view Of(size_t rank, const SchemeRow* scheme) const {
    return shown_[rank][scheme - Schemes().data()];
  }

 private:
  ShownCarriers() : shown_(Carriers().size()) {
    for (size_t rank = 0; rank < shown_.size(); ++rank) {
      if (Carriers()[rank].kind != CarrierKind::kCredentials) continue;
      for (const SchemeRow& scheme : Schemes()) {
        shown_[rank].push_back(
            absl::StrCat(std::string(Carriers()[rank].shown), "/", std::string(scheme.name)));
      }
    }
  }

  std::vector<std::vector<std::string>> shown_;
};

// Of a request's target (RFC 9112 section 3.2), without a fragment.
struct Target {
  std::string_view userinfo;
  bool has_userinfo = false;
  std::string_view authority;  // without userinfo; empty in origin form
  std::string_view path;
  std::string_view query;
  bool path_ended = false;       // a query or a fragment follows
  bool authority_ended = false;  // a path, a query or a fragment does
  bool fragment = false;
};

Target TakeApart(std::string_view target, bool is_connect) {
  Target parts;
  const size_t hash = target.find('#');
  parts.fragment = hash != std::string_view::npos;
  target = target.substr(0, hash);
  if (!target.starts_with('/')) {
    const size_t scheme_end = target.find("://");
    const bool absolute =
        scheme_end != std::string_view::npos && scheme_end < target.find_first_of("/?");
    if (absolute || is_connect) {
      if (absolute) target.remove_prefix(scheme_end + 3);
      const size_t end = std::min(target.find_first_of("/?"), target.size());
      parts.authority_ended = end < target.size() || parts.fragment;
      parts.authority = target.substr(0, end);
      target.remove_prefix(end);
      const size_t at = parts.authority.rfind('@');
      if (at != std::string_view::npos) {
        parts.has_userinfo = true;
        parts.userinfo = parts.authority.substr(0, at);
        parts.authority.remove_prefix(at + 1);
      }
    }
  }
  const size_t question = target.find('?');
  parts.path = target.substr(0, question);
  parts.path_ended = question != std::string_view::npos || parts.fragment;
  if (question != std::string_view::npos) parts.query = target.substr(question + 1);
  return parts;
}

class Finder {
 public:
  Finder(const CarrierOptions& options, Extraction* out) : options_(options), out_(out) {}

  void Request(const RequestHead& request);

 private:
  // `edge`: bytes may be missing behind `value`.
  void Field(std::string_view name, std::string_view value, bool edge);
  void FieldOfRow(size_t rank, std::string_view value, bool edge);
  void Base64Field(size_t rank, std::string_view value, bool edge);
  void CredentialsField(size_t rank, std::string_view value, bool edge);
  void ValueField(size_t rank, std::string_view value, bool edge);
  void Subprotocols(size_t rank, std::string_view value, bool edge);
  void RegistryAuth(size_t rank, std::string_view value, bool edge);
  void Cookies(std::string_view value, bool edge);
  void OtherField(std::string_view name, std::string_view value, bool base64);
  void Userinfo(const Target& target, bool edge);
  void Query(const Target& target, bool edge);
  void Parameter(const Target& target, std::string_view name, std::string_view value, bool edge);
  void Path(const Target& target, bool edge);

  // A scheme with its credentials, or a value without scheme.
  void One(std::string_view part, bool edge);
  void Raw(std::string_view part, bool edge);
  void ByForm(const SchemeRow& scheme, std::string_view text, bool edge);
  void Basic(std::string_view text, bool edge);
  void UserAndPassword(std::string_view user, std::string_view password);
  void List(std::string_view text, bool edge);
  void FromParameter(const SchemeRow& scheme, std::string_view text, bool edge);
  void SharedAccess(std::string_view text, bool edge);
  void Cosmos(std::string_view text, bool edge);
  bool IsFunctionKey(const Target& target);

  Credential* Add(std::string_view secret, std::string_view user, bool unresolved);
  void AddPublic(std::string_view id, bool unresolved) {
    if (Credential* credential = Add(id, "", unresolved)) credential->secret_is_public = true;
  }
  // Adds `secret`, a part of `text`: unresolved if it ends where bytes may be missing.
  void AddPart(std::string_view secret, std::string_view text, bool edge) {
    Add(secret, "", IsAtEdge(secret, text, edge));
  }
  static bool IsAtEdge(std::string_view part, std::string_view text, bool edge) {
    return edge && part.data() + part.size() == text.data() + text.size();
  }
  std::string_view Keep(SecretBuffer bytes) {
    out_->storage.push_back(std::move(bytes));
    return out_->storage.back().view();
  }
  std::string_view Decoded(std::string_view text) {
    return text.find('%') == std::string_view::npos ? text : Keep(DecodePercent(text));
  }
  bool IsToken(std::string_view value) const {
    return options_.shapes != nullptr && value.size() >= kShapeMin && value.size() <= kShapeMax &&
           IsOneWord(value) && options_.shapes->IsSelfIdentifying(value);
  }
  std::string_view Unfold(std::string_view value);
  void Enter(size_t rank) {
    rank_ = rank;
    scheme_row_ = nullptr;
    addition_ = {};
  }
  std::string_view Shown();
  void HideSecretsInNames();
  void Sort();

  const CarrierOptions& options_;
  Extraction* out_;
  size_t rank_ = 0;  // of the carrier at hand
  const SchemeRow* scheme_row_ = nullptr;
  // Of the request, what is shown behind the row's: a scheme without a row, or a name. Not yet
  // printable.
  std::string_view addition_;
  bool any_addition_ = false;  // long enough to hold a part of a secret was shown
  std::string_view host_;      // of the first Host field
  std::optional<bool> query_is_signed_;
};

std::string_view Finder::Shown() {
  const CarrierRow& row = Carriers()[rank_];
  if (scheme_row_ != nullptr) return ShownCarriers::Get().Of(rank_, scheme_row_);
  if (addition_.empty()) return row.shown;
  std::string name = Printable(addition_, kNameMax);
  absl::AsciiStrToLower(&name);
  // Too long a scheme could be a part of a secret.
  const bool hidden = row.kind == CarrierKind::kCredentials
                          ? addition_.size() >= SecretFinder::kWindow
                          : LooksLikeSecret(addition_);
  SecretBuffer shown(row.shown);
  shown.Append('/');
  shown.Append(hidden ? kOther : std::string_view(name));
  any_addition_ = any_addition_ || addition_.size() >= SecretFinder::kShortest;
  return Keep(std::move(shown));
}

Credential* Finder::Add(std::string_view secret, std::string_view user, bool unresolved) {
  if (secret.empty() && !unresolved) {
    ++out_->empty;
    return nullptr;
  }
  if (secret.size() > kSecretMax) unresolved = true;
  Credential* place = nullptr;
  for (Credential& known : out_->credentials) {
    if (known.unresolved || unresolved || known.secret != secret) continue;
    if (rank_ >= known.rank) return nullptr;
    place = &known;
    break;
  }
  if (place == nullptr) {
    if (out_->credentials.size() == kCredentialsMax) {
      ++out_->dropped;
      return nullptr;
    }
    place = &out_->credentials.emplace_back();
  }
  *place = Credential();
  place->carrier = Shown();
  place->rank = rank_;
  place->secret = secret;
  place->user = user;
  place->unresolved = unresolved;
  return place;
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

void Finder::Field(std::string_view name, std::string_view value, bool edge) {
  const FoundName found = FindFieldName(name);
  switch (found.is) {
    case NameIs::kOrdinary:
      if (host_.empty() && EqualsIgnoreCase(name, "host")) host_ = value;
      return;
    case NameIs::kUnknown:
      // Of a part of a value nothing can be said.
      if (!edge) OtherField(name, value, found.base64);
      return;
    case NameIs::kCarrier:
      value = Unfold(value);
      if (found.base64) {
        Base64Field(found.rank, value, edge);
      } else {
        FieldOfRow(found.rank, value, edge);
      }
      return;
  }
}

void Finder::FieldOfRow(size_t rank, std::string_view value, bool edge) {
  switch (Carriers()[rank].kind) {
    case CarrierKind::kCredentials:
      CredentialsField(rank, value, edge);
      break;
    case CarrierKind::kSubprotocols:
      Subprotocols(rank, value, edge);
      break;
    case CarrierKind::kRegistryAuth:
      RegistryAuth(rank, value, edge);
      break;
    case CarrierKind::kCookie:
      Cookies(value, edge);
      break;
    default:
      ValueField(rank, value, edge);
  }
}

// gRPC joins several values by commas, which base64 does not have.
void Finder::Base64Field(size_t rank, std::string_view value, bool edge) {
  do {
    const std::string_view part = NextPart(&value, [](std::string_view) { return true; });
    std::optional<SecretBuffer> decoded;
    const bool part_edge = edge && value.empty();
    if (!part_edge) decoded = DecodeBase64(part);
    FieldOfRow(rank, decoded.has_value() ? TrimBlanks(Keep(*std::move(decoded))) : part, part_edge);
  } while (!value.empty());
}

void Finder::CredentialsField(size_t rank, std::string_view value, bool edge) {
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
  scheme_row_ = FindScheme(word);
  if (scheme_row_ != nullptr) {
    ByForm(*scheme_row_, TrimBlanks(part.substr(word.size())), edge);
    return;
  }
  if (word.size() != part.size() && LooksLikeScheme(word)) {
    addition_ = word;
    const std::string_view rest = TrimBlanks(part.substr(word.size()));
    AddPart(Unquote(rest), rest, edge);
    return;
  }
  Raw(part, edge);
}

void Finder::Raw(std::string_view part, bool edge) {
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
    Credential* credential = Add(token, part.substr(0, colon), IsAtEdge(token, part, edge));
    if (credential != nullptr) credential->user_is_public = true;
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
    case SchemeForm::kBeforeSlash: {
      const char end = scheme.form == SchemeForm::kBeforeColon ? ':' : '/';
      const std::string_view id = text.substr(0, text.find(end));
      AddPublic(id, IsAtEdge(id, text, edge));
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
  UserAndPassword(pair.substr(0, colon), pair.substr(colon + 1));
}

void Finder::UserAndPassword(std::string_view user, std::string_view password) {
  const auto is_one_of = [](absl::Span<const std::string_view> words, std::string_view text) {
    return std::any_of(words.begin(), words.end(),
                       [text](std::string_view word) { return EqualsIgnoreCase(word, text); });
  };
  const bool is_none = password.empty() || is_one_of(PasswordsThatAreNone(), password);
  if (is_none && !user.empty() && !is_one_of(FixedUsers(), user)) {
    Add(user, "", false);
    return;
  }
  Credential* credential = Add(password, user, false);
  if (credential != nullptr && !user.empty()) credential->user_is_public = IsPublicUser(user);
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
      AddPart(Unquote(text), text, edge);
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
    AddPublic(value, unresolved);
  } else {
    Add(value, "", unresolved);
  }
}

void Finder::SharedAccess(std::string_view text, bool edge) {
  if (edge) {
    Add("", "", true);
    return;
  }
  const std::string_view resource = Decoded(QueryValue(text, "sr"));
  const std::string_view key = Decoded(QueryValue(text, "skn"));
  if (resource.empty()) {
    ++out_->per_request;
  } else if (key.empty()) {
    AddPublic(resource, false);
  } else {
    SecretBuffer identity(key);
    identity.Append('@');
    identity.Append(resource);
    AddPublic(Keep(std::move(identity)), false);
  }
}

void Finder::Cosmos(std::string_view text, bool edge) {
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

void Finder::ValueField(size_t rank, std::string_view value, bool edge) {
  Enter(rank);
  if (value.empty()) Add("", "", edge);
  while (!value.empty()) {
    const std::string_view part = NextPart(
        &value, [](std::string_view after) { return !after.empty() && IsBlank(after.front()); });
    AddPart(BareValue(part), part, edge && value.empty());
  }
}

void Finder::Subprotocols(size_t rank, std::string_view value, bool edge) {
  Enter(rank);
  const SubprotocolRow* before = nullptr;  // the row of the element in front
  while (!value.empty()) {
    const std::string_view element = NextPart(&value, [](std::string_view) { return true; });
    const bool element_edge = edge && value.empty();
    if (before != nullptr) {
      Add(element, "", element_edge);
      before = nullptr;
      continue;
    }
    const auto rows = tokenwatch::Subprotocols();
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const SubprotocolRow& candidate) {
      return candidate.prefix.ends_with(',')
                 ? EqualsIgnoreCase(element,
                                    candidate.prefix.substr(0, candidate.prefix.size() - 1))
                 : BeginsIgnoringCase(element, candidate.prefix);
    });
    if (row == rows.end()) {
      if (!element_edge && IsToken(element)) Add(element, "", false);
    } else if (row->prefix.ends_with(',')) {
      before = &*row;
    } else {
      const std::string_view secret = element.substr(row->prefix.size());
      std::optional<SecretBuffer> decoded;
      if (row->base64 && !element_edge) decoded = DecodeBase64(secret);
      Add(decoded.has_value() ? Keep(*std::move(decoded)) : secret, "", element_edge);
    }
  }
  if (before != nullptr) Add("", "", edge);
}

void Finder::RegistryAuth(size_t rank, std::string_view value, bool edge) {
  Enter(rank);
  if (edge) {
    Add(value, "", true);
    return;
  }
  std::optional<SecretBuffer> json = DecodeBase64(value);
  if (!json.has_value()) {
    ++out_->empty;
    return;
  }
  const std::vector<RegistryLogin> logins = ReadRegistryLogins(&*json);
  Keep(*std::move(json));  // of which the logins are parts
  if (logins.empty()) ++out_->empty;
  for (const RegistryLogin& login : logins) {
    if (!login.identity_token.empty()) Add(login.identity_token, "", false);
    if (!login.registry_token.empty()) Add(login.registry_token, "", false);
    if (!login.password.empty()) UserAndPassword(login.user, login.password);
    if (!login.auth.empty()) Basic(login.auth, false);
  }
}

void Finder::Cookies(std::string_view value, bool edge) {
  if (options_.cookies.empty()) return;
  Enter(RanksOfRowsWithoutName().cookie);
  while (!value.empty()) {
    const size_t end = std::min(value.find(';'), value.size());
    const std::string_view pair = value.substr(0, end);
    const bool pair_edge = edge && end == value.size();
    value.remove_prefix(std::min(end + 1, value.size()));
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = TrimBlanks(pair.substr(0, equals));
    const std::string_view content = Unquote(TrimBlanks(pair.substr(equals + 1)));
    if (!CookieIsNamed(options_.cookies, name, content)) continue;
    addition_ = name;
    Add(Decoded(content), "", pair_edge);
  }
}

void Finder::OtherField(std::string_view name, std::string_view value, bool base64) {
  if (options_.shapes == nullptr || value.size() < kShapeMin || value.size() > 2 * kShapeMax) {
    return;
  }
  Enter(RanksOfRowsWithoutName().other_field);
  addition_ = name;
  const std::string_view bare = BareValue(value);
  if (IsToken(bare)) {
    Add(bare, "", false);
    return;
  }
  if (!base64) return;
  std::optional<SecretBuffer> decoded = DecodeBase64(TrimBlanks(value));
  if (!decoded.has_value() || !IsToken(BareValue(decoded->view()))) return;
  Add(BareValue(Keep(*std::move(decoded))), "", false);
}

void Finder::Userinfo(const Target& target, bool edge) {
  Enter(RanksOfRowsWithoutName().userinfo);
  if (edge && !target.authority_ended) {
    Add(target.userinfo, "", true);
    return;
  }
  const size_t colon = std::min(target.userinfo.find(':'), target.userinfo.size());
  UserAndPassword(Decoded(target.userinfo.substr(0, colon)),
                  Decoded(target.userinfo.substr(std::min(colon + 1, target.userinfo.size()))));
}

void Finder::Query(const Target& target, bool edge) {
  for (std::string_view query = target.query; !query.empty();) {
    const std::string_view pair = NextPair(&query);
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = pair.substr(0, equals);
    // Where the last pair is empty the '&' ended the one before.
    const bool pair_edge =
        edge && pair.data() + pair.size() == target.query.data() + target.query.size();
    if (name.find('%') == std::string_view::npos) {
      Parameter(target, name, pair.substr(equals + 1), pair_edge);
    } else {
      const SecretBuffer decoded = DecodePercent(name);
      Parameter(target, decoded.view(), pair.substr(equals + 1), pair_edge);
    }
  }
}

void Finder::Parameter(const Target& target, std::string_view name, std::string_view value,
                       bool edge) {
  const FoundName found = FindQueryName(name);
  if (found.is == NameIs::kOrdinary) return;
  if (found.is == NameIs::kUnknown) {
    if (options_.shapes == nullptr || edge || value.size() < kShapeMin ||
        value.size() > 3 * kShapeMax) {
      return;
    }
    Enter(RanksOfRowsWithoutName().other_query);
    addition_ = name;
    if (value.find('%') == std::string_view::npos) {
      if (IsToken(BareValue(value))) Add(BareValue(value), "", false);
      return;
    }
    SecretBuffer decoded = DecodePercent(value);
    if (IsToken(BareValue(decoded.view()))) Add(BareValue(Keep(std::move(decoded))), "", false);
    return;
  }
  const CarrierRow& row = Carriers()[found.rank];
  if (row.kind == CarrierKind::kSignature) {
    if (!query_is_signed_.has_value()) {
      query_is_signed_ = QueryValue(target.query, "sv").data() != nullptr;
    }
    if (*query_is_signed_) ++out_->per_request;
    return;
  }
  if (row.kind == CarrierKind::kFunctionKey && !IsFunctionKey(target)) return;
  Enter(found.rank);
  value = BareValue(Decoded(value));
  if (row.kind == CarrierKind::kQueryId) {
    const size_t slash = value.find('/');
    AddPublic(value.substr(0, slash), edge && slash == std::string_view::npos);
  } else if (value.size() >= row.shortest || edge || value.empty()) {
    Add(value, "", edge);
  }
}

// "code" is as well what OAuth hands to a client at the end of a login, which serves once.
bool Finder::IsFunctionKey(const Target& target) {
  constexpr std::string_view kHosts[] = {"*.azurewebsites.net", "*.azurewebsites.us",
                                         "*.chinacloudsites.cn"};
  constexpr std::string_view kLogins[] = {"/.auth/", "callback", "signin", "oauth", "login"};
  if (target.path.starts_with("/runtime/webhooks/")) return true;
  const std::string_view host = target.authority.empty() ? host_ : target.authority;
  if (std::none_of(std::begin(kHosts), std::end(kHosts),
                   [host](std::string_view pattern) { return HostIs(host, pattern); })) {
    return false;
  }
  return std::none_of(std::begin(kLogins), std::end(kLogins),
                      [&](std::string_view part) {
                        return target.path.find(part) != std::string_view::npos;
                      }) &&
         QueryValue(target.query, "state").data() == nullptr;
}

void Finder::Path(const Target& target, bool edge) {
  std::vector<SecretPath> found;
  FindSecretPaths(target.path, target.authority.empty() ? host_ : target.authority, &found);
  for (const SecretPath& match : found) {
    if (!match.is_credential) continue;
    Enter(RanksOfRowsWithoutName().path);
    Add(Decoded(target.path.substr(match.begin, match.end - match.begin)), "",
        edge && !target.path_ended && match.end == target.path.size());
  }
}

void Finder::Request(const RequestHead& request) {
  for (size_t i = 0; i < request.fields.size(); ++i) {
    const HeaderField& field = request.fields[i];
    Field(field.name, field.value, request.cut && i + 1 == request.fields.size());
  }
  const Target target = TakeApart(request.target, request.method == "CONNECT");
  const bool edge = request.cut && request.fields.empty() && !target.fragment;
  if (target.has_userinfo) Userinfo(target, edge);
  if (!target.query.empty()) Query(target, edge);
  Path(target, edge);
  Sort();
  if (any_addition_) HideSecretsInNames();
}

// Stable, and without memory of its own, for the few that there are.
void Finder::Sort() {
  auto& all = out_->credentials;
  for (size_t i = 1; i < all.size(); ++i) {
    for (size_t j = i; j > 0 && all[j].rank < all[j - 1].rank; --j) std::swap(all[j], all[j - 1]);
  }
}

// A name that the request made up may hold a part of a secret; names are shown in lower case.
void Finder::HideSecretsInNames() {
  std::vector<SecretBuffer> lower;
  std::vector<std::string_view> secrets;
  for (const Credential& credential : out_->credentials) {
    SecretBuffer& bytes = lower.emplace_back();
    char* at = bytes.Extend(credential.secret.size());
    for (const char c : credential.secret) {
      *at++ = absl::ascii_tolower(static_cast<unsigned char>(c));
    }
  }
  for (const SecretBuffer& bytes : lower) secrets.push_back(bytes.view());
  const SecretFinder finder(secrets);
  for (Credential& credential : out_->credentials) {
    const std::string_view shown = Carriers()[credential.rank].shown;
    if (credential.carrier.size() <= shown.size()) continue;
    if (!finder.Occurs(credential.carrier.substr(shown.size() + 1))) continue;
    SecretBuffer hidden(shown);
    hidden.Append('/');
    hidden.Append(kOther);
    credential.carrier = Keep(std::move(hidden));
  }
}

}  // namespace

void Extraction::Clear() {
  credentials.clear();
  per_request = empty = dropped = 0;
  storage.clear();
}

void FindCredentials(const RequestHead& request, const CarrierOptions& options, Extraction* out) {
  out->Clear();
  Finder(options, out).Request(request);
}

Extraction FindCredentials(const RequestHead& request, const CarrierOptions& options) {
  Extraction out;
  FindCredentials(request, options, &out);
  return out;
}

std::string_view NormalisePasted(std::string_view pasted) { return BareValue(pasted); }

}  // namespace tokenwatch
