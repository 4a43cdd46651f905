// What a credential is: its ids, format, and what it says of itself.
#ifndef TOKENWATCH_AGENT_TOKEN_TOKEN_READER_H_
#define TOKENWATCH_AGENT_TOKEN_TOKEN_READER_H_

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/http/exchange.h"
#include "agent/token/carriers/extract.h"
#include "agent/token/formats/formats.h"
#include "agent/token/identity/identity.h"
#include "agent/token/privacy.h"
#include "agent/token/secret/fingerprint.h"
#include "agent/token/token_cache.h"
#include "agent/token/token_use.h"

namespace tokenwatch {

// What shapes a table of formats cannot be mistaken about.
class FormatShapes : public SecretShapes {
 public:
  // `formats` outlives it.
  explicit FormatShapes(const FormatTable* formats) : formats_(formats) {}
  bool IsSelfIdentifying(std::string_view value) const override {
    return formats_->IsSelfIdentifying(value);
  }
  std::string_view OwnField(std::string_view name) const override {
    return formats_->OwnField(name);
  }
  std::string_view OwnParameter(std::string_view name) const override {
    return formats_->OwnParameter(name);
  }

 private:
  const FormatTable* const formats_;
};

// A token is read once and remembered (token_cache.h): what follows for a known one at a known
// place is a look-up. Not thread safe.
class TokenReader {
 public:
  // Known tokens: some 500 bytes each.
  static constexpr size_t kKnownMax = 16384;

  // `fingerprinter` and `formats` outlive it. Internal where OpenSSL lacks what is needed.
  static absl::StatusOr<std::unique_ptr<TokenReader>> Create(Fingerprinter* fingerprinter,
                                                             const FormatTable* formats,
                                                             Privacy privacy,
                                                             size_t known_max = kKnownMax);

  // What was read: a token and the place that it was read for. `token` is null where OpenSSL failed
  // (it had no memory). Valid until the next Read or Learn.
  struct Reading {
    KnownToken* token = nullptr;
    const KnownToken::Place* place = nullptr;
    TokenCache::Key key{};
  };
  // `credential` is resolved; `host` in lower case without port. `dpop`: the value of the request's
  // DPoP field, or empty. No allocation and no HMAC where the token is known at that place.
  Reading Read(const Credential& credential, std::string_view host, std::string_view dpop);

  // A token that an answer gave, and its key. Null where OpenSSL failed. Valid until the next call.
  KnownToken* Learn(std::string_view secret, TokenCache::Key* key);
  // What a token tells with its next use beside what it says of itself; nothing where it is known
  // no longer. False where there are too many already.
  bool TellLater(const TokenCache::Key& key, TokenFact fact);

  // Null where it is known no longer.
  KnownToken* Find(const TokenCache::Key& key) { return cache_->Find(key); }
  // A hash under the key that tokens are found by.
  SipHash NewHash() const { return cache_->NewHash(); }

  // Whether a part of `text`, that holds no blank or separator, is a known token or looks like one.
  bool MayHoldSecret(std::string_view text);

  // "usr_" and 26 digits, or empty where persons are not kept.
  std::string HashPerson(std::string_view person);

  const FormatTable& formats() const { return *formats_; }
  const Privacy& privacy() const { return privacy_; }

 private:
  TokenReader(Fingerprinter* fingerprinter, const FormatTable* formats, Privacy privacy)
      : fingerprinter_(fingerprinter), formats_(formats), privacy_(privacy) {}

  // The new place's contents.
  void Classify(const Credential& credential, std::string_view host, std::string_view dpop,
                KnownToken* token, KnownToken::Place* place);
  void TakeFacts(const Credential& credential, const FormatMatch& match, std::string_view dpop,
                 TokenIdentity* identity, KnownToken* token);

  Fingerprinter* const fingerprinter_;
  const FormatTable* const formats_;
  const Privacy privacy_;
  std::unique_ptr<TokenCache> cache_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_TOKEN_READER_H_
