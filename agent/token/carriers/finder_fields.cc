// Header fields.
#include <algorithm>
#include <optional>
#include <utility>

#include "agent/common/text.h"
#include "agent/token/carriers/cookie_rules.h"
#include "agent/token/carriers/field_text.h"
#include "agent/token/carriers/finder.h"
#include "agent/token/carriers/registry_auth.h"
#include "agent/token/secret/encoding.h"

namespace tokenwatch {
namespace {

// Two searches for one byte each are many times faster than one for either.
bool HoldsLineEnd(std::string_view text) {
  return text.find('\n') != std::string_view::npos || text.find('\r') != std::string_view::npos;
}

}  // namespace

std::string_view CredentialFinder::Unfold(std::string_view value) {
  value = TrimBlanks(value);
  if (!HoldsLineEnd(value)) return value;
  SecretBuffer unfolded;
  unfolded.Reserve(value.size());
  while (!value.empty()) {
    const size_t blanks = std::find_if_not(value.begin(), value.end(), IsBlank) - value.begin();
    if (HoldsLineEnd(value.substr(0, blanks))) {
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

void CredentialFinder::Field(std::string_view name, std::string_view value, bool edge) {
  const FoundName found = FindFieldName(name);
  switch (found.is) {
    case NameIs::kOrdinary:
      if (host_.empty() && EqualsIgnoreCase(name, "host")) host_ = value;
      return;
    case NameIs::kUnknown:
      if (options_.shapes != nullptr) {
        if (const std::string_view own = options_.shapes->OwnField(name); !own.empty()) {
          Enter(RanksOfRowsWithoutName().other_field);
          own_carrier_ = own;
          Values(Unfold(value), edge);
          return;
        }
      }
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

void CredentialFinder::FieldOfRow(size_t rank, std::string_view value, bool edge) {
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
void CredentialFinder::Base64Field(size_t rank, std::string_view value, bool edge) {
  do {
    const std::string_view part = NextPart(&value, [](std::string_view) { return true; });
    std::optional<SecretBuffer> decoded;
    const bool part_edge = edge && value.empty();
    if (!part_edge) decoded = DecodeBase64(part);
    FieldOfRow(rank, decoded.has_value() ? TrimBlanks(Keep(*std::move(decoded))) : part, part_edge);
  } while (!value.empty());
}

void CredentialFinder::ValueField(size_t rank, std::string_view value, bool edge) {
  Enter(rank);
  Values(value, edge);
}

void CredentialFinder::Values(std::string_view value, bool edge) {
  if (value.empty()) Add("", "", edge);
  while (!value.empty()) {
    const std::string_view part = NextPart(
        &value, [](std::string_view after) { return !after.empty() && IsBlank(after.front()); });
    const bool part_edge = edge && value.empty();
    const std::string_view bare = BareValue(part);
    if (Counts(bare, part_edge)) AddPart(bare, part, part_edge);
  }
}

void CredentialFinder::Subprotocols(size_t rank, std::string_view value, bool edge) {
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

void CredentialFinder::RegistryAuth(size_t rank, std::string_view value, bool edge) {
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

void CredentialFinder::Cookies(std::string_view value, bool edge) {
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

void CredentialFinder::OtherField(std::string_view name, std::string_view value, bool base64) {
  if (!MayBeToken(value, 2)) return;
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

}  // namespace tokenwatch
