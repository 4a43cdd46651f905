#include "agent/token/token_cache.h"

#include <openssl/rand.h>

#include "absl/status/status.h"

namespace tokenwatch {

absl::StatusOr<std::unique_ptr<TokenCache>> TokenCache::Create(size_t limit) {
  std::unique_ptr<TokenCache> cache(new TokenCache(limit));
  if (RAND_bytes(reinterpret_cast<unsigned char*>(cache->key_.data()), sizeof(cache->key_)) != 1) {
    return absl::InternalError("OpenSSL has no random bytes");
  }
  return cache;
}

}  // namespace tokenwatch
