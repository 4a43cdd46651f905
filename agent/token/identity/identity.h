// What a token tells about itself, without being secret.
#ifndef TOKENWATCH_AGENT_TOKEN_IDENTITY_IDENTITY_H_
#define TOKENWATCH_AGENT_TOKEN_IDENTITY_IDENTITY_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "agent/token/identity/claim_text.h"
#include "agent/token/identity/public_parts.h"
#include "agent/token/jwt/jwt.h"
#include "agent/token/secret/fingerprint.h"
#include "agent/token/token_use.h"

namespace tokenwatch {

struct TokenIdentity {
  // Of a JWT what its claims say that it is (jwt_formats.h); empty for anything else, and where the
  // format that was found by other means says more than "jwt".
  std::string_view format, provider;
  std::optional<absl::Time> expires;  // of a JWT; with kJwtLeeway
  bool alg_none = false;              // of a JWT
  std::vector<TokenFact> facts;
};

// Once for a token, at first sight: reads what it holds in public parts for its `format` (an id of
// formats.yaml; `by_context`: only its host or carrier told it, which claims know better) and,
// where it is a JWT, its claims. Facts hold nothing of the secret but those parts and no person but
// as `hash_person` shows one; of a claim in which another token stands (`is_token`) nothing
// (claim_text.h). The facts' names are constants.
//
// A token that stands for something other tokens stand for as well has a fact "credential" for each
// fleet key, the primary one first.
TokenIdentity IdentifyToken(std::string_view format, bool by_context, const TokenText& token,
                            Fingerprinter* fingerprinter, PersonHasher hash_person,
                            TokenTest is_token);

// "usr_" and 26 digits under the primary key, as PersonHasher wants it. Empty where OpenSSL failed.
std::string HashedPerson(Fingerprinter* fingerprinter, std::string_view person);

// "cred_" and 26 digits. `id` is 16 bytes.
std::string CredentialIdText(absl::Span<const uint8_t> id);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_IDENTITY_IDENTITY_H_
