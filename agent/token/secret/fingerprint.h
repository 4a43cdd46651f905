// Secret to token id.
#ifndef TOKENWATCH_AGENT_TOKEN_SECRET_FINGERPRINT_H_
#define TOKENWATCH_AGENT_TOKEN_SECRET_FINGERPRINT_H_

#include <openssl/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "agent/common/token_id.h"
#include "agent/token/secret/fleet_key.h"
#include "agent/token/token_use.h"

namespace tokenwatch {

// Computes the keyed hashes of the design ("Fingerprint and secrets") under one or more fleet keys.
// Each key's state is prepared once and leaves no trace of a secret. Not thread safe.
class Fingerprinter {
 public:
  // The first key is the primary one. The keys may go afterwards. InvalidArgument where there is
  // none or one is given twice; Internal where OpenSSL has no HMAC-SHA-256.
  static absl::StatusOr<std::unique_ptr<Fingerprinter>> Create(absl::Span<const FleetKey> keys);

  // One pair a key, in their order. `secret` is normalised already (agent/token/carriers/extract.h)
  // and not empty. Empty where OpenSSL failed (it had no memory): then the token stays unresolved.
  std::vector<TokenPair> Token(std::string_view secret);

  // The other part of Basic, one hash a key; the label "tokenwatch user v1" keeps them apart from
  // token ids. Empty where OpenSSL failed.
  std::vector<TokenIdBytes> User(std::string_view user);

  // What a token stands for, where it is one of many for the same (agent/token/jwt/jwt.h says what
  // goes in); the label is "tokenwatch credential v1". Empty where OpenSSL failed.
  std::vector<TokenIdBytes> Credential(std::string_view stands_for);

  // "key_" and 8 digits, one a key.
  const std::vector<std::string>& KeyIds() const { return key_ids_; }

 private:
  struct FreeMac {
    void operator()(EVP_MAC_CTX* mac) const;
  };
  using Mac = std::unique_ptr<EVP_MAC_CTX, FreeMac>;

  Fingerprinter() = default;

  std::vector<TokenIdBytes> Hashes(std::string_view label, std::string_view message);

  std::vector<Mac> macs_;  // one a key, keyed
  std::vector<std::string> key_ids_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_SECRET_FINGERPRINT_H_
