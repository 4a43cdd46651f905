// What is known of tokens that were seen before, so that a token is hashed, classified and read
// once and not with every request.
//
// Entries are found by a keyed 128-bit hash of the secret (SipHash-2-4 under a key of this
// process): nothing of a secret is kept, and nothing that could be compared with anything outside.
#ifndef TOKENWATCH_AGENT_TOKEN_TOKEN_CACHE_H_
#define TOKENWATCH_AGENT_TOKEN_TOKEN_CACHE_H_

#include <openssl/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "agent/token/lru.h"
#include "agent/token/token_use.h"

namespace tokenwatch {

struct KnownToken {
  std::vector<TokenPair> tokens;
  // Where it was seen last, and what it is there: hosts and carriers decide about weak shapes.
  uint64_t context = 0;
  std::string_view format = "opaque";  // these two live as long as the table of formats
  std::string_view provider;
  uint32_t traits = 0;                // those that depend on token and context only
  std::optional<absl::Time> expires;  // a later use is one of an expired token
  // The other part of Basic that came with it last.
  std::array<uint64_t, 2> user{};
  std::vector<TokenIdBytes> user_ids;
  std::vector<TokenFact> facts;
  std::vector<TokenFact> links;            // to other tokens, to be told with its next use
  absl::Time told = absl::InfinitePast();  // when `facts` were told
  // Of the answer whose facts were told last, and when.
  uint64_t answer = 0;
  absl::Time answer_told = absl::InfinitePast();
};

// Not thread safe.
class TokenCache {
 public:
  using Key = Lru<KnownToken>::Key;

  // Keeps the `limit` tokens that were used last. Internal where OpenSSL has no SipHash.
  static absl::StatusOr<std::unique_ptr<TokenCache>> Create(size_t limit);

  // Nothing where OpenSSL failed. No allocation.
  std::optional<Key> KeyOf(std::string_view secret);
  // Of several texts, each with its length.
  std::optional<Key> KeyOf(absl::Span<const std::string_view> texts);

  // As Lru has them.
  KnownToken* Find(const Key& key) { return tokens_.Find(key); }
  KnownToken& Add(const Key& key) { return tokens_.Add(key); }
  size_t size() const { return tokens_.size(); }

 private:
  struct FreeMac {
    void operator()(EVP_MAC_CTX* mac) const;
  };

  explicit TokenCache(size_t limit) : tokens_(limit) {}

  bool Begin();
  bool Update(std::string_view text);
  std::optional<Key> End();

  std::unique_ptr<EVP_MAC_CTX, FreeMac> mac_;
  Lru<KnownToken> tokens_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_TOKEN_CACHE_H_
