#include "agent/token/token_cache.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"

namespace tokenwatch {

void TokenCache::FreeMac::operator()(EVP_MAC_CTX* mac) const { EVP_MAC_CTX_free(mac); }

absl::StatusOr<std::unique_ptr<TokenCache>> TokenCache::Create(size_t limit) {
  const absl::Status failed = absl::InternalError("OpenSSL has no SipHash");
  std::unique_ptr<TokenCache> cache(new TokenCache(limit));
  EVP_MAC* const algorithm = EVP_MAC_fetch(nullptr, "SIPHASH", nullptr);
  const absl::Cleanup free_algorithm = [algorithm] { EVP_MAC_free(algorithm); };
  if (algorithm == nullptr) return failed;
  cache->mac_.reset(EVP_MAC_CTX_new(algorithm));
  std::array<unsigned char, 16> key;
  size_t size = sizeof(Key);
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
                                   OSSL_PARAM_construct_end()};
  if (cache->mac_ == nullptr || RAND_bytes(key.data(), key.size()) != 1 ||
      EVP_MAC_init(cache->mac_.get(), key.data(), key.size(), parameters) != 1) {
    return failed;
  }
  return cache;
}

// Without a key it begins anew with the one that it has.
bool TokenCache::Begin() { return EVP_MAC_init(mac_.get(), nullptr, 0, nullptr) == 1; }

bool TokenCache::Update(std::string_view text) {
  return EVP_MAC_update(mac_.get(), reinterpret_cast<const unsigned char*>(text.data()),
                        text.size()) == 1;
}

std::optional<TokenCache::Key> TokenCache::End() {
  Key key;
  size_t size = 0;
  if (EVP_MAC_final(mac_.get(), reinterpret_cast<unsigned char*>(key.data()), &size, sizeof(key)) !=
          1 ||
      size != sizeof(key)) {
    return std::nullopt;
  }
  return key;
}

std::optional<TokenCache::Key> TokenCache::KeyOf(std::string_view secret) {
  if (!Begin() || !Update(secret)) return std::nullopt;
  return End();
}

std::optional<TokenCache::Key> TokenCache::KeyOf(absl::Span<const std::string_view> texts) {
  if (!Begin()) return std::nullopt;
  for (const std::string_view text : texts) {
    std::array<char, sizeof(size_t)> size;
    const size_t bytes = text.size();
    std::memcpy(size.data(), &bytes, size.size());
    if (!Update({size.data(), size.size()}) || !Update(text)) return std::nullopt;
  }
  return End();
}

}  // namespace tokenwatch
