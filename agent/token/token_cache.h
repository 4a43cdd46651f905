// What is known of tokens that were seen before, so that a token is hashed, classified and read
// once and not with every request.
//
// Entries are found by a keyed 128-bit hash of the secret (SipHash-2-4 under a key of this
// process): nothing of a secret is kept, and nothing that could be compared with anything outside.
#ifndef TOKENWATCH_AGENT_TOKEN_TOKEN_CACHE_H_
#define TOKENWATCH_AGENT_TOKEN_TOKEN_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/token/lru.h"
#include "agent/token/secret/sip_hash.h"
#include "agent/token/token_use.h"

namespace tokenwatch {

struct KnownToken {
  // What it is where it is seen: host and carrier decide about weak shapes.
  struct Place {
    SipHash::Hash host{};
    SipHash::Hash user{};                             // the other part of Basic, where it is kept
    bool is_public = false;                           // as Credential::secret_is_public
    std::shared_ptr<const UseCredential> credential;  // which knows the carrier
    uint32_t traits = 0;                              // those that depend on token and context only
    // Of a service that anybody may run: answers tell where it is at home (HomeHosts), and, where
    // the table does not know, whether this host is foreign.
    bool tells_home = false, asks_home = false;
  };
  // A gateway sees one token at two hosts, and few see one at more.
  static constexpr size_t kPlacesMax = 4;

  std::vector<TokenPair> tokens;
  absl::InlinedVector<Place, 1> places;
  uint32_t next_place = 0;            // the one that goes for a new one
  bool has_hex_run = false;           // HasHexRun of the secret
  std::optional<absl::Time> expires;  // a later use is one of an expired token
  std::vector<TokenFact> facts;
  std::vector<TokenFact> links;            // and what its giver said, to be told with its next use
  absl::Time told = absl::InfinitePast();  // when `facts` were told
  // Of the answer whose facts were told last, and when.
  uint64_t answer = 0;
  absl::Time answer_told = absl::InfinitePast();
};

// Not thread safe.
class TokenCache {
 public:
  using Key = Lru<KnownToken>::Key;

  // Keeps the `limit` tokens that were used last. Internal where OpenSSL has no random bytes.
  static absl::StatusOr<std::unique_ptr<TokenCache>> Create(size_t limit);

  // Under this cache's key. No allocation.
  SipHash NewHash() const { return SipHash(key_); }
  Key KeyOf(std::string_view secret) const {
    SipHash hash = NewHash();
    hash.Text(secret);
    return hash.End();
  }

  // As Lru has them.
  KnownToken* Find(const Key& key) { return tokens_.Find(key); }
  KnownToken& Add(const Key& key) { return tokens_.Add(key); }
  size_t size() const { return tokens_.size(); }

 private:
  explicit TokenCache(size_t limit) : tokens_(limit) {}

  SipHash::Key key_{};
  Lru<KnownToken> tokens_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_TOKEN_CACHE_H_
