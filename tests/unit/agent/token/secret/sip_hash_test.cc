#include "agent/token/secret/sip_hash.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/agent/token/made_up.h"

namespace tokenwatch {
namespace {

constexpr SipHash::Key kKey = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

SipHash::Hash OfOpenSsl(const std::string& bytes) {
  const std::unique_ptr<EVP_MAC, decltype(&EVP_MAC_free)> mac(
      EVP_MAC_fetch(nullptr, "SIPHASH", nullptr), &EVP_MAC_free);
  const std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> context(
      EVP_MAC_CTX_new(mac.get()), &EVP_MAC_CTX_free);
  size_t size = sizeof(SipHash::Hash);
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
                                   OSSL_PARAM_construct_end()};
  SipHash::Hash hash{};
  EXPECT_EQ(EVP_MAC_init(context.get(), reinterpret_cast<const unsigned char*>(kKey.data()),
                         sizeof(kKey), parameters),
            1);
  EVP_MAC_update(context.get(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  EXPECT_EQ(EVP_MAC_final(context.get(), reinterpret_cast<unsigned char*>(hash.data()), &size,
                          sizeof(hash)),
            1);
  return hash;
}

// The bytes of the words that a text becomes.
std::string Words(const std::string& text) {
  const uint64_t size = text.size();
  std::string bytes(reinterpret_cast<const char*>(&size), sizeof(size));
  bytes += text;
  bytes.resize((bytes.size() + 7) / 8 * 8);
  return bytes;
}

TEST(SipHash, IsThatOfOpenSsl) {
  for (size_t size = 0; size < 600; size = size < 40 ? size + 1 : size * 3) {
    const std::string text = MadeUp(size), other = MadeUp(size / 2);
    SipHash one(kKey), two(kKey);
    one.Text(text);
    EXPECT_EQ(one.End(), OfOpenSsl(Words(text))) << size;
    two.Text(text);
    two.Text(other);
    EXPECT_EQ(two.End(), OfOpenSsl(Words(text) + Words(other))) << size;
  }
}

TEST(SipHash, TellsListsOfTextsApart) {
  const std::vector<std::vector<std::string>> lists = {{},
                                                       {""},
                                                       {"", ""},
                                                       {"ab"},
                                                       {"a", "b"},
                                                       {"", "ab"},
                                                       {"ab", ""},
                                                       {"ab\x01"},
                                                       {"abc"},
                                                       {std::string("ab\0", 3)},
                                                       {std::string("\0", 1)},
                                                       {std::string("\0\0", 2)}};
  std::set<SipHash::Hash> hashes;
  for (const auto& list : lists) {
    SipHash hash(kKey);
    for (const std::string& text : list) hash.Text(text);
    EXPECT_TRUE(hashes.insert(hash.End()).second);
  }
  SipHash other({kKey[0], kKey[1] + 1});
  EXPECT_TRUE(hashes.insert(other.End()).second);
}

}  // namespace
}  // namespace tokenwatch
