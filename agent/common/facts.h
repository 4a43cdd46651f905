// The names of what is learnt of tokens beside their uses. A new one is a line here; collectors
// keep those that they do not know. None of the values is secret; what may name a person is a keyed
// hash
// ("usr_" and 26 Crockford base32 digits) unless the privacy settings say otherwise.
#ifndef TOKENWATCH_AGENT_COMMON_FACTS_H_
#define TOKENWATCH_AGENT_COMMON_FACTS_H_

#include <cstddef>
#include <string_view>

namespace tokenwatch::fact {

inline constexpr size_t kValueMax = 512;  // bytes; what is longer is cut
inline constexpr size_t kPerUseMax = 64;  // facts told with one use; more are counted and dropped

// From the token itself.
inline constexpr std::string_view kCredential = "credential";  // "cred_..." (Use.credential_id)
inline constexpr std::string_view kPublicId = "public_id";     // the readable part of the token
inline constexpr std::string_view kBasicUser = "basic_user";   // the other part of Basic, if kept
inline constexpr std::string_view kUserId = "user_id";         // its hash, which collectors add
inline constexpr std::string_view kAccount = "account";        // account, team, workspace or tenant
inline constexpr std::string_view kIssuer = "issuer";          // JWT "iss"
inline constexpr std::string_view kSubject = "subject";        // JWT "sub" of a machine, or a hash
inline constexpr std::string_view kClient = "client";          // JWT "azp", "client_id", "appid"
inline constexpr std::string_view kAudience = "audience";      // several
inline constexpr std::string_view kTenant = "tenant";          // JWT "tid"
inline constexpr std::string_view kActor = "actor";           // JWT "act.sub": acts for the subject
inline constexpr std::string_view kAlgorithm = "algorithm";   // JWT "alg"
inline constexpr std::string_view kKeyId = "key_id";          // JWT "kid"
inline constexpr std::string_view kTokenType = "token_type";  // JWT "typ", "token_use", "idtyp"
inline constexpr std::string_view kJwtId = "jwt_id";          // JWT "jti"
inline constexpr std::string_view kNamespace = "k8s_namespace";
inline constexpr std::string_view kServiceAccount = "k8s_service_account";
inline constexpr std::string_view kPod = "k8s_pod";
inline constexpr std::string_view kBoundTo = "bound_to";  // "dpop:" or "mtls:" and a thumbprint

// From the token or from answers.
inline constexpr std::string_view kIssuedAt = "issued_at";  // RFC 3339
inline constexpr std::string_view kExpires = "expires";     // RFC 3339
inline constexpr std::string_view kScope = "scope";         // granted; one fact each
inline constexpr std::string_view kOwner = "owner";         // account id or name of who owns it
inline constexpr std::string_view kOrganization = "organization";
inline constexpr std::string_view kRegion = "region";  // as the provider calls it

// From answers.
inline constexpr std::string_view kScopeAccepted = "scope_accepted";  // would have done; one each
inline constexpr std::string_view kScopeMissing = "scope_missing";    // was needed and not granted
inline constexpr std::string_view kApplication = "application";       // the client that owns it
inline constexpr std::string_view kKind = "kind";                     // as the provider calls it
inline constexpr std::string_view kRateLimit =
    "rate_limit";                                    // requests, and window where it is said
inline constexpr std::string_view kError = "error";  // of WWW-Authenticate, e.g. "invalid_token"

inline constexpr std::string_view kResourceMetadata =
    "resource_metadata";  // URL of RFC 9728 that says who gives tokens for what was asked

// From calls of a token's life. Values are token ids, but the last two's.
inline constexpr std::string_view kIssued = "issued";             // what it obtained
inline constexpr std::string_view kBornFrom = "born_from";        // the token that obtained it
inline constexpr std::string_view kRotatedTo = "rotated_to";      // what replaced it
inline constexpr std::string_view kRotatedFrom = "rotated_from";  // what it replaced
inline constexpr std::string_view kBornWith = "born_with";        // what the same answer gave
inline constexpr std::string_view kRevokedBy = "revoked_by";      // may be itself
inline constexpr std::string_view kRevoked = "revoked";           // when; RFC 3339
inline constexpr std::string_view kInactive = "inactive";  // when its server said so; RFC 3339

// Whether all values of a name are told at one time, so that those that were told before and not
// with them hold no longer.
constexpr bool IsToldWhole(std::string_view name) {
  for (const std::string_view whole :
       {kScope, kExpires, kOwner, kOrganization, kApplication, kKind}) {
    if (name == whole) return true;
  }
  return false;
}

}  // namespace tokenwatch::fact

#endif  // TOKENWATCH_AGENT_COMMON_FACTS_H_
