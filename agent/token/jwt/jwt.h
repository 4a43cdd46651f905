// What a JSON Web Token says about itself, read without verifying it: claimed, not known.
#ifndef TOKENWATCH_AGENT_TOKEN_JWT_JWT_H_
#define TOKENWATCH_AGENT_TOKEN_JWT_JWT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "agent/common/secret_buffer.h"
#include "agent/token/jwt/jwt_claims.h"

namespace tokenwatch {

// What is shown instead of something that may name a person; empty where it is not to be shown.
using PersonHasher = absl::FunctionRef<std::string(std::string_view person)>;

// Header and payload as they are sent; of a longer token the header alone is read.
inline constexpr size_t kJwtReadMax = 16384;

// How far the clocks of issuer, verifier and this host may be apart.
inline constexpr absl::Duration kJwtLeeway = absl::Seconds(60);

// Strings are printable ASCII and at most fact::kValueMax bytes. They never hold anything of the
// signature, of a claim without a row in jwt_claims.cc, or the name of a person.
struct JwtFacts {
  enum class Payload : uint8_t {
    kRead,
    kEncrypted,   // a JWE
    kDetached,    // not in the token (RFC 7515 appendix F)
    kTooLong,     // header and payload exceed kJwtReadMax
    kUnreadable,  // no JSON object in base64url, or one nested too deep
  };
  Payload payload = Payload::kUnreadable;
  // "alg" is "none", in any case: verifiers were found that take "nOnE" as well.
  bool alg_none = false;
  bool subject_is_machine = false;   // it names no person and is shown as it is
  bool has_registry_access = false;  // the claim "access" of Docker's token specification
  bool cut = false;                  // there are more audiences or scopes than are here

  std::string algorithm, type, key_id;
  std::string issuer;
  std::string subject;
  std::string client;  // "azp", "client_id" or "appid", the first that is there
  std::string tenant;
  std::string owner;  // login name ("email", "upn", ...) or "oid"
  std::string actor;  // who acts for the subject
  std::string jwt_id;
  std::string token_use, identity_type;
  std::vector<std::string> audiences, scopes;

  std::string kubernetes_namespace, service_account, pod;
  std::string dpop_thumbprint, certificate_thumbprint;  // "cnf": whose key may use the token

  // None where they are missing or after 2199; before 2000 only `expires` is one, and at the least
  // the epoch. In milliseconds where they are of 2000 to 2199 only so.
  std::optional<absl::Time> expires, not_before, issued_at;

  // For Fingerprinter::Credential: what all tokens have in common that stand for the same, each
  // part followed by a zero byte: issuer, client, subject, the uid of a Kubernetes service account
  // (many clusters have one issuer), actor. So an hourly renewal is no new credential, while a
  // user's tokens for two clients, or of two issuers, stand apart, and the pods of one service
  // account together. Empty where there is no issuer or neither client nor subject: such a token
  // stands for itself alone.
  SecretBuffer stands_for;
};

// Nothing where `token` is no JWS (three parts, the header an object with "alg") or JWE (five
// parts, "alg" and "enc") in compact serialization. Base64 may be of either alphabet and padded, as
// some gateways send it. Linear; scratch copies are wiped.
std::optional<JwtFacts> ReadJwt(std::string_view token, PersonHasher hash_person);

// Whether no verifier would take the token at `time` for its "exp" (RFC 7519 section 4.1.4).
bool ExpiredAt(const JwtFacts& jwt, absl::Time time);

// A pattern of subjects that name no person, whatever else a token says.
struct MachineSubjectRow {
  std::string_view prefix, suffix;
  std::string_view sample, near_miss;
};
absl::Span<const MachineSubjectRow> MachineSubjectRows();

// The parts of a token between its dots; views into it.
struct JwtParts {
  std::string_view header, payload;
  bool encrypted = false;
};
std::optional<JwtParts> SplitJwt(std::string_view token);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_JWT_JWT_H_
