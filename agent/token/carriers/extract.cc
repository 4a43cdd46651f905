#include "agent/token/carriers/extract.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/token/carriers/carriers.h"
#include "agent/token/carriers/field_text.h"
#include "agent/token/carriers/finder.h"
#include "agent/token/carriers/stand_in.h"
#include "agent/token/secret/encoding.h"
#include "agent/token/secret/redact.h"

namespace tokenwatch {
namespace {

constexpr size_t kNameMax = 64;
constexpr std::string_view kOther = "other";

// A JWT has none (RFC 7515 section 2); some who make them leave it, and some who send them take it
// away.
std::string_view WithoutPadding(std::string_view secret) {
  constexpr std::string_view kObject = "ey";  // begins base64 of a '{' and a quote or blank
  constexpr size_t kPaddingMax = 2;
  if (!secret.ends_with('=') || !secret.starts_with(kObject) ||
      std::count(secret.begin(), secret.end(), '.') != 2) {
    return secret;
  }
  for (size_t i = 0; i < kPaddingMax && secret.ends_with('='); ++i) secret.remove_suffix(1);
  return secret;
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

}  // namespace

std::string_view CredentialFinder::Shown() {
  const CarrierRow& row = Carriers()[rank_];
  if (scheme_row_ != nullptr) return ShownCarriers::Get().Of(rank_, scheme_row_);
  if (!own_carrier_.empty()) return own_carrier_;
  if (addition_.empty()) return row.shown;
  std::string name = Printable(addition_, kNameMax);
  absl::AsciiStrToLower(&name);
  // Too long a scheme could be a part of a secret.
  const bool hidden = row.kind == CarrierKind::kCredentials
                          ? addition_.size() >= SecretFinder::kWindow
                          : LooksLikeSecret(DecodePercent(addition_).view());
  SecretBuffer shown(row.shown);
  shown.Append('/');
  shown.Append(hidden ? kOther : std::string_view(name));
  any_addition_ = any_addition_ || addition_.size() >= SecretFinder::kShortest;
  return Keep(std::move(shown));
}

Credential* CredentialFinder::Add(std::string_view secret, std::string_view user, bool unresolved) {
  if (!unresolved && (secret.empty() || IsStandIn(secret))) {
    ++out_->empty;
    return nullptr;
  }
  if (secret.size() > kSecretMax) unresolved = true;
  if (!unresolved) secret = WithoutPadding(secret);
  const CarrierKind kind = Carriers()[rank_].kind;
  bool in_url = kind >= CarrierKind::kUserinfo && kind < CarrierKind::kNeverQuery;
  Credential* place = nullptr;
  for (Credential& known : out_->credentials) {
    if (known.unresolved || unresolved || known.secret != secret) continue;
    in_url = known.in_url = known.in_url || in_url;
    if (rank_ >= known.rank) return nullptr;
    place = &known;
    break;
  }
  if (place == nullptr) {
    if (out_->credentials.size() == kCredentialsMax) {
      ++out_->dropped;
      if (out_->dropped_secrets.size() < kDroppedSecretsMax) {
        out_->dropped_secrets.push_back(secret);
      }
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
  place->in_url = in_url;
  return place;
}

void CredentialFinder::Find(const RequestHead& request) {
  for (size_t i = 0; i < request.fields.size(); ++i) {
    const HeaderField& field = request.fields[i];
    Field(field.name, field.value, request.cut && i + 1 == request.fields.size());
  }
  const RequestTarget target = TakeTargetApart(request.target, request.method == "CONNECT");
  const bool edge = request.cut && request.fields.empty() && !target.fragment;
  if (target.has_userinfo) Userinfo(target, edge);
  if (!target.query.empty()) Query(target, edge);
  Path(target, edge);
  Sort();
  if (any_addition_) HideSecretsInNames();
}

bool CredentialFinder::Counts(std::string_view value, bool edge) const {
  const size_t shortest = Carriers()[rank_].shortest;
  return shortest == 1 || edge || value.empty() || (value.size() >= shortest && !IsPlain(value));
}

bool CredentialFinder::IsToken(std::string_view value) const {
  return MayBeToken(value, 1) &&
         std::all_of(value.begin(), value.end(), [](char c) { return c > 0x20 && c <= 0x7e; }) &&
         options_.shapes->IsSelfIdentifying(value);
}

// Stable, and without memory of its own, for the few that there are.
void CredentialFinder::Sort() {
  auto& all = out_->credentials;
  for (size_t i = 1; i < all.size(); ++i) {
    for (size_t j = i; j > 0 && all[j].rank < all[j - 1].rank; --j) std::swap(all[j], all[j - 1]);
  }
}

// A name that the request made up may hold a part of a secret; names are shown in lower case.
void CredentialFinder::HideSecretsInNames() {
  std::vector<SecretBuffer> lower;
  std::vector<std::string_view> secrets;
  secrets.reserve(out_->credentials.size());
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

void Extraction::Clear() {
  credentials.clear();
  per_request = empty = dropped = 0;
  dropped_secrets.clear();
  storage.clear();
}

void FindCredentials(const RequestHead& request, const CarrierOptions& options, Extraction* out) {
  out->Clear();
  CredentialFinder(options, out).Find(request);
}

Extraction FindCredentials(const RequestHead& request, const CarrierOptions& options) {
  Extraction out;
  FindCredentials(request, options, &out);
  return out;
}

std::string_view NormalisePasted(std::string_view pasted) { return BareValue(pasted); }

}  // namespace tokenwatch
