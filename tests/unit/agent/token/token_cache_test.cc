#include "agent/token/token_cache.h"

#include <gtest/gtest.h>

#include <string>

namespace tokenwatch {
namespace {

TEST(TokenCache, KeysAreOfTheSecretAndOfThisCache) {
  const auto cache = *TokenCache::Create(4), other = *TokenCache::Create(4);
  EXPECT_EQ(cache->KeyOf("a secret"), cache->KeyOf("a secret"));
  EXPECT_NE(cache->KeyOf("a secret"), cache->KeyOf("a secreu"));
  EXPECT_NE(cache->KeyOf("a secret"), other->KeyOf("a secret"));
}

TEST(TokenCache, ForgetsWhatWasUnusedLongest) {
  const auto cache = *TokenCache::Create(3);
  const auto key = [&](int i) { return cache->KeyOf(std::to_string(i)); };
  for (int i = 0; i < 3; ++i) cache->Add(key(i)).answer = i + 1;
  ASSERT_NE(cache->Find(key(0)), nullptr);
  cache->Add(key(3));
  EXPECT_EQ(cache->size(), 3u);
  EXPECT_EQ(cache->Find(key(1)), nullptr);
  ASSERT_NE(cache->Find(key(0)), nullptr);
  EXPECT_EQ(cache->Find(key(0))->answer, 1u);
  EXPECT_NE(cache->Find(key(2)), nullptr);
}

}  // namespace
}  // namespace tokenwatch
