#include "agent/token/identity/identity.h"

#include "absl/strings/str_cat.h"
#include "agent/common/text.h"
#include "agent/token/formats/jwt_formats.h"
#include "agent/token/identity/claim_text.h"
#include "agent/token/identity/fact_list.h"

namespace tokenwatch {
namespace {

// Coinbase's key ids: organizations/ORGANIZATION/apiKeys/KEY.
void AddCoinbaseKey(std::string_view key_id, FactList* facts) {
  constexpr std::string_view kOrganizations = "organizations/";
  constexpr std::string_view kKeys = "/apiKeys/";
  const size_t keys = key_id.find(kKeys);
  if (!key_id.starts_with(kOrganizations) || keys == std::string_view::npos) return;
  facts->Add(fact::kOrganization,
             key_id.substr(kOrganizations.size(), keys - kOrganizations.size()));
  facts->Add(fact::kPublicId, key_id.substr(keys + kKeys.size()));
}

// What is several of a name comes last, so that a long list costs no other fact its place.
void AddJwt(const JwtFacts& jwt, TokenTest is_token, FactList* facts) {
  const auto add = [&](std::string_view name, std::string_view claim) {
    facts->AddShown(name, ShownClaim(claim, is_token));
  };
  const auto add_once = [&](std::string_view name, std::string_view claim) {
    facts->AddShownOnce(name, ShownClaim(claim, is_token));
  };
  add(fact::kIssuer, jwt.issuer);
  add(fact::kSubject, jwt.subject);
  add(fact::kClient, jwt.client);
  add(fact::kTenant, jwt.tenant);
  add(fact::kOwner, jwt.owner);
  add(fact::kActor, jwt.actor);
  add(fact::kAlgorithm, jwt.algorithm);
  add(fact::kKeyId, jwt.key_id);
  add(fact::kJwtId, jwt.jwt_id);
  add(fact::kNamespace, jwt.kubernetes_namespace);
  add(fact::kServiceAccount, jwt.service_account);
  add(fact::kPod, jwt.pod);
  if (!jwt.dpop_thumbprint.empty()) {
    add(fact::kBoundTo, absl::StrCat("dpop:", jwt.dpop_thumbprint));
  }
  if (!jwt.certificate_thumbprint.empty()) {
    add(fact::kBoundTo, absl::StrCat("mtls:", jwt.certificate_thumbprint));
  }
  if (jwt.issued_at.has_value()) facts->AddTime(fact::kIssuedAt, *jwt.issued_at);
  if (jwt.expires.has_value()) facts->AddTime(fact::kExpires, *jwt.expires);
  // That a JWT is one needs no saying.
  for (const std::string_view type : {std::string_view(jwt.type), std::string_view(jwt.token_use),
                                      std::string_view(jwt.identity_type)}) {
    if (!EqualsIgnoreCase(type, "JWT")) add_once(fact::kTokenType, type);
  }
  for (const std::string& audience : jwt.audiences) add_once(fact::kAudience, audience);
  for (const std::string& scope : jwt.scopes) add_once(fact::kScope, scope);
}

}  // namespace

TokenIdentity IdentifyToken(std::string_view format, bool by_context, const TokenText& token,
                            Fingerprinter* fingerprinter, PersonHasher hash_person,
                            TokenTest is_token) {
  TokenIdentity identity;
  FactList facts(hash_person, &identity.facts);
  if (const PublicPartRow* row = FindPublicParts(format); row != nullptr) row->read(token, &facts);

  const std::optional<JwtFacts> jwt = ReadJwt(token.secret, hash_person);
  if (!jwt.has_value()) return identity;
  identity.facts.reserve(24);  // of most
  const JwtFormatRow& row = RowByClaims(*jwt);
  const bool known = !format.empty() && format != "jwt" && format != "jwe" && format != "opaque";
  if (!known || (by_context && IsSpecific(row))) {
    identity.format = row.format;
    identity.provider = row.provider;
  }
  if (jwt->expires.has_value()) identity.expires = *jwt->expires + kJwtLeeway;
  identity.alg_none = jwt->alg_none;
  if (!jwt->stands_for.empty()) {
    for (const TokenIdBytes& id : fingerprinter->Credential(jwt->stands_for.view())) {
      facts.Add(fact::kCredential, CredentialIdText(id));
    }
  }
  AddJwt(*jwt, is_token, &facts);
  if (row.format == "coinbase_cdp") AddCoinbaseKey(ShownClaim(jwt->key_id, is_token), &facts);
  return identity;
}

std::string HashedPerson(Fingerprinter* fingerprinter, std::string_view person) {
  const std::vector<TokenIdBytes> ids = fingerprinter->User(person);
  return ids.empty() ? std::string() : CrockfordText("usr_", ids.front());
}

std::string CredentialIdText(absl::Span<const uint8_t> id) { return CrockfordText("cred_", id); }

}  // namespace tokenwatch
