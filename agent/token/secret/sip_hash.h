// SipHash-2-4 with 128 bits (Aumasson and Bernstein, 2012), in line: what is hashed with each
// request is short, and calls into a library would cost more than the hash.
#ifndef TOKENWATCH_AGENT_TOKEN_SECRET_SIP_HASH_H_
#define TOKENWATCH_AGENT_TOKEN_SECRET_SIP_HASH_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tokenwatch {

// Of whole words, so that it holds back no byte of a secret: Text makes words of any text, led by
// its length, such that no two lists of texts give the same words. Whoever does not know the key
// can neither choose nor compare hashes.
class SipHash {
 public:
  using Key = std::array<uint64_t, 2>;
  using Hash = std::array<uint64_t, 2>;

  explicit SipHash(const Key& key)
      : v0_(key[0] ^ 0x736f6d6570736575),
        v1_(key[1] ^ 0x646f72616e646f6d ^ 0xee),
        v2_(key[0] ^ 0x6c7967656e657261),
        v3_(key[1] ^ 0x7465646279746573) {}

  void Word(uint64_t word) {
    ++words_;
    v3_ ^= word;
    Round();
    Round();
    v0_ ^= word;
  }

  void Text(std::string_view text) {
    Word(text.size());
    for (; text.size() >= sizeof(uint64_t); text.remove_prefix(sizeof(uint64_t))) {
      uint64_t word = 0;
      std::memcpy(&word, text.data(), sizeof(word));
      Word(word);
    }
    if (text.empty()) return;
    uint64_t rest = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      rest |= uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
    }
    Word(rest);
  }

  // Nothing more is hashed after it.
  Hash End() {
    Word((words_ * sizeof(uint64_t)) << 56);
    v2_ ^= 0xee;
    for (int i = 0; i < 4; ++i) Round();
    const uint64_t first = v0_ ^ v1_ ^ v2_ ^ v3_;
    v1_ ^= 0xdd;
    for (int i = 0; i < 4; ++i) Round();
    return {first, v0_ ^ v1_ ^ v2_ ^ v3_};
  }

 private:
  void Round() {
    v0_ += v1_;
    v2_ += v3_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ = std::rotl(v0_, 32);
    v2_ += v1_;
    v0_ += v3_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ = std::rotl(v2_, 32);
  }

  uint64_t v0_, v1_, v2_, v3_;
  uint64_t words_ = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_SECRET_SIP_HASH_H_
