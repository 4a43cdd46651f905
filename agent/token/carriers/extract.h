// Finding the credentials of a request.
#ifndef TOKENWATCH_AGENT_TOKEN_CARRIERS_EXTRACT_H_
#define TOKENWATCH_AGENT_TOKEN_CARRIERS_EXTRACT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "agent/common/secret_buffer.h"
#include "agent/http/exchange.h"
#include "agent/token/secret/redact.h"

namespace tokenwatch {

// Longer secrets are counted as uses but not resolved.
inline constexpr size_t kSecretMax = 65536;
// Further credentials of one request are dropped and counted.
inline constexpr size_t kCredentialsMax = 16;
// So many of them are known as secrets all the same, and kept out of what is shown.
inline constexpr size_t kDroppedSecretsMax = 240;

// One distinct secret of a request. Views point into the request, into Extraction::storage, to
// constants or to what SecretShapes gave.
struct Credential {
  // As the table shows it, e.g. "authorization/bearer". Printable ASCII of at most kCarrierMax
  // bytes. Of the request it holds at most a short scheme, or the name of a field, parameter or
  // cookie that no row has, in lower case ("other" where that looks like a secret).
  std::string_view carrier;
  size_t rank = 0;              // of the carrier in Carriers()
  std::string_view secret;      // normalised; where unresolved, the part that is there, maybe none
  std::string_view user;        // the other part of Basic
  bool unresolved = false;      // its end may be missing (RequestHead::cut), or it is too long
  bool user_is_public = false;  // and may be shown
  bool in_url = false;          // in the query or before the host, there alone or there as well
  bool secret_is_public = false;  // `secret` is the id of a key that signed the request
};

inline constexpr size_t kCarrierMax = 96;

// The credentials' views stay valid when an Extraction is moved.
struct Extraction {
  std::vector<Credential> credentials;  // by rank, then as sent; distinct
  size_t per_request = 0;  // credentials of schemes that hold nothing reusable (Digest, NTLM, ...)
  size_t empty = 0;        // carriers without a secret in them, or with a stand-in for one
  size_t dropped = 0;      // beyond kCredentialsMax
  std::vector<std::string_view> dropped_secrets;  // of the first kDroppedSecretsMax of them
  std::vector<SecretBuffer> storage;              // decoded bytes

  // Wipes what is there and keeps the memory of the vectors.
  void Clear();
};

// What is known of tokens beyond the table of carriers.
class SecretShapes : public TokenShapes {
 public:
  // Of a field or parameter whose name has no row, and which carries credentials all the same: the
  // carrier as it is shown, valid as long as this object; else empty. `name` is in any case.
  virtual std::string_view OwnField(std::string_view /*name*/) const { return {}; }
  virtual std::string_view OwnParameter(std::string_view /*name*/) const { return {}; }
};

struct CarrierOptions {
  std::vector<std::string> cookies;  // CheckCookieRules has accepted them; empty: no cookie is one
  // Decides about fields and parameters whose name has no row; null: none is a credential.
  const SecretShapes* shapes = nullptr;
};

// Secrets are normalised: the scheme, blanks around it and quotes are no part of a secret, header
// folding (RFC 9112 section 5.2) is one blank, base64 of Basic and %XX of query values are undone,
// and what people write around a secret is none of it (BareValue). '=' at the end is part of what
// an API compares and stays, but for a JWT's. '+' in a query stays '+': tokens hold no blanks, but
// clients that do not encode '+' exist.
//
// Basic gives its password, or its user where the password is empty or says that it is none; a
// fixed word of FixedUsers() is never a secret. A user that is a token by its shape is one, and a
// password beside it another if it may be. Parts that a form's encoder made are decoded (RFC 6749
// section 2.3.1). What is no base64 there, or decodes to what no user types, is taken as it stands.
// user:password@ of a target is Basic before a client made it so.
//
// Several credentials in one field: a comma ends one where a known scheme and a blank follow
// (combined fields), in a field without scheme where a blank follows.
//
// Fields and parameters whose name has no row are credentials where `options.shapes` knows that
// name, or the whole of their value, without "Bearer " or "Token " before it. Cookies are split;
// their values are percent-decoded.
//
// Azure's shared access signatures are told apart by skn@sr, or sr where there is no skn; those of
// URLs, which name no key, by the signature, which serves whoever has the URL until it ends.
//
// Linear in the request. Allocates nothing for what is no credential, and only for what has to be
// decoded where `out` is used again.
void FindCredentials(const RequestHead& request, const CarrierOptions& options, Extraction* out);

Extraction FindCredentials(const RequestHead& request, const CarrierOptions& options = {});

// What a person pastes, as FindCredentials would see it: without blanks, line ends and quotes
// around it, and without "Bearer " or "Token ". A view into `pasted`.
std::string_view NormalisePasted(std::string_view pasted);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_CARRIERS_EXTRACT_H_
