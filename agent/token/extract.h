// Finding the credentials of a request.
#ifndef TOKENWATCH_AGENT_TOKEN_EXTRACT_H_
#define TOKENWATCH_AGENT_TOKEN_EXTRACT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "agent/common/secret_buffer.h"
#include "agent/http/exchange.h"

namespace tokenwatch {

// Longer secrets are counted as uses but not resolved.
inline constexpr size_t kSecretMax = 65536;
// Further credentials of one request are dropped and counted.
inline constexpr size_t kCredentialsMax = 16;

// One distinct secret of a request.
struct Credential {
  std::string carrier;      // as the table shows it; holds at most a short scheme of the request
  size_t rank = 0;          // of the carrier in Carriers()
  std::string_view secret;  // normalised; where unresolved, the part that is there, maybe none
  std::string_view user;    // the other part of Basic
  bool unresolved = false;  // its end may be missing (RequestHead::cut), or it is too long
};

// The credentials' views point into the request or into `storage`, also after a move.
struct Extraction {
  std::vector<Credential> credentials;  // by rank, then as sent; distinct
  size_t per_request = 0;  // credentials of schemes that hold nothing reusable (Digest, NTLM, ...)
  size_t empty = 0;        // carriers without a secret in them
  size_t dropped = 0;      // beyond kCredentialsMax
  std::vector<SecretBuffer> storage;  // decoded bytes
};

// Secrets are normalised: the scheme, blanks around it and quotes are no part of a secret, header
// folding (RFC 9112 section 5.2) is one blank, base64 of Basic and %XX of query values are undone,
// while '=' at the end is part of what an API compares and stays. '+' in a query stays '+': tokens
// hold no blanks, but clients that do not encode '+' exist.
//
// Basic gives its password, or its user where the password is empty or says that it is none. What
// is no base64 there, or decodes to what no user types, is taken as it stands.
//
// Several credentials in one field: a comma ends one where a known scheme and a blank follow
// (combined fields), in a field without scheme where a blank follows.
Extraction FindCredentials(const RequestHead& request);

// What a person pastes, as FindCredentials would see it: without blanks, line ends and quotes
// around it, and without "Bearer " or "Token ". A view into `pasted`.
std::string_view NormalisePasted(std::string_view pasted);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_EXTRACT_H_
