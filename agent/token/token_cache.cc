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

std::optional<TokenCache::Key> TokenCache::KeyOf(std::string_view secret) {
  std::array<unsigned char, sizeof(Key)> hash;
  size_t size = 0;
  // Without a key it begins anew with the one that it has.
  if (EVP_MAC_init(mac_.get(), nullptr, 0, nullptr) != 1 ||
      EVP_MAC_update(mac_.get(), reinterpret_cast<const unsigned char*>(secret.data()),
                     secret.size()) != 1 ||
      EVP_MAC_final(mac_.get(), hash.data(), &size, hash.size()) != 1 || size != hash.size()) {
    return std::nullopt;
  }
  Key key;
  std::memcpy(key.data(), hash.data(), sizeof(key));
  return key;
}

KnownToken* TokenCache::Find(const Key& key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return &found->second->token;
}

KnownToken& TokenCache::Add(const Key& key) {
  if (entries_.size() >= limit_ && !entries_.empty()) {
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
  entries_.push_front({key, {}});
  by_key_[key] = entries_.begin();
  return entries_.front().token;
}

}  // namespace tokenwatch
