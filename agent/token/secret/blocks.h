// The blocks of bytes by which a text and a secret are compared; what redact.h does rests on them.
#ifndef TOKENWATCH_AGENT_TOKEN_SECRET_BLOCKS_H_
#define TOKENWATCH_AGENT_TOKEN_SECRET_BLOCKS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "agent/common/secret_buffer.h"
#include "agent/token/secret/encoding.h"

namespace tokenwatch {

inline constexpr size_t kBlock = 6;
// Of a secret a block in so many bytes is indexed: kStride + kBlock - 1 bytes in a row hold one.
inline constexpr size_t kStride = 5;
// Secrets that are shorter are words like "admin", which prove nothing.
inline constexpr size_t kShortestSecret = 8;
// Base64 digits that kShortestSecret bytes take at least.
inline constexpr size_t kBase64Shortest = (kShortestSecret * 8 + 5) / 6;

inline uint64_t LoadBlock(const char* at) {
  uint64_t block = 0;
  std::memcpy(&block, at, kBlock);
  return block;
}

// Calls `is_it` with every block of the bytes, until it returns true. Whether it did.
template <typename IsIt>
bool AnyBlockOfBytes(std::string_view bytes, IsIt is_it) {
  for (size_t at = 0; at + kBlock <= bytes.size(); ++at) {
    if (is_it(LoadBlock(bytes.data() + at))) return true;
  }
  return false;
}

// Likewise with those of what runs of base64 digits stand for, at any alignment: where in a group
// of four the first digit stood is unknown, so a byte may begin at any even bit. Digits of value 0
// in front make the group whole; the bytes that they spoil are no whole bytes of the run.
template <typename IsIt>
bool AnyBlockOfBase64(std::string_view text, IsIt is_it) {
  constexpr uint64_t kBits = 8 * kBlock;
  constexpr size_t kDigits = kBits / 6;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = begin;
    while (end < text.size() && Base64Value(text[end]) >= 0) ++end;
    if (end - begin < kBase64Shortest) {
      begin = end + 1;
      continue;
    }
    uint64_t bits = 0;  // the last digits' values
    for (size_t at = begin; at < end; ++at) {
      bits = bits << 6 | static_cast<uint64_t>(Base64Value(text[at]));
      // At most three digits stand in front.
      if (at - begin + 1 + 3 < kDigits) continue;
      for (size_t behind = 0; behind < 6; behind += 2) {
        // The first byte lowest, as LoadBlock has it.
        if (is_it(__builtin_bswap64(bits >> behind << (64 - kBits)))) return true;
      }
    }
    begin = end + 1;
  }
  return false;
}

// Likewise with all of a text's: as it is, without its percent encoding, and out of base64, which
// may be percent-encoded in its turn. Only a text with '%' takes memory, which is wiped.
template <typename IsIt>
bool AnyBlock(std::string_view text, IsIt is_it) {
  if (text.size() < kShortestSecret) return false;
  if (AnyBlockOfBytes(text, is_it)) return true;
  if (text.find('%') == std::string_view::npos) return AnyBlockOfBase64(text, is_it);
  const SecretBuffer decoded = DecodePercent(text);
  return AnyBlockOfBytes(decoded.view(), is_it) || AnyBlockOfBase64(decoded.view(), is_it);
}

// And with those of a secret that are indexed.
template <typename IsIt>
bool AnyIndexedBlock(std::string_view secret, IsIt is_it) {
  if (secret.size() < kShortestSecret) return false;
  for (size_t at = 0; at + kBlock <= secret.size(); at += kStride) {
    if (is_it(LoadBlock(secret.data() + at))) return true;
  }
  return false;
}

// A number of this process that nobody outside knows; odd.
uint64_t BlockSeed();

// A set of blocks that holds tags of 31 bits in place of them: it may say of one in 10^9 that it is
// there though it is not, never the other way round. Where a tag stands depends on the seed, so
// that nobody can choose blocks that share a place.
class BlockSet {
 public:
  // Empties it and makes room for that many blocks.
  void Reset(size_t blocks);
  void Add(uint64_t block);
  bool MayHold(uint64_t block) const {
    const uint64_t hash = block * seed_;
    const uint32_t tag = TagOf(hash);
    for (size_t slot = hash >> 48;; ++slot) {
      const uint32_t there = slots_[slot & mask_];
      if (there == 0) return false;
      if (there == tag) return true;
    }
  }
  // For sets of secrets.
  void Wipe() { OPENSSL_cleanse(slots_.data(), slots_.size() * sizeof(uint32_t)); }

 private:
  static uint32_t TagOf(uint64_t hash) { return static_cast<uint32_t>(hash >> 16) | 1; }

  uint64_t seed_ = BlockSeed();
  size_t mask_ = 0;
  absl::InlinedVector<uint32_t, 64> slots_ = {0};  // 0: empty; at most two in three are not
};

// The blocks of texts, for secrets that are compared with the same texts again and again.
class TextBlocks {
 public:
  // What does not fit is left out, and is_full().
  static constexpr size_t kMost = 4096;
  // Different ones: some 350 bytes of text in base64's alphabet. The set then takes 8 kB.
  static constexpr size_t kMostDifferent = 1365;

  TextBlocks() { blocks_.reserve(kMost); }
  ~TextBlocks() { Clear(); }
  TextBlocks(const TextBlocks&) = delete;
  TextBlocks& operator=(const TextBlocks&) = delete;

  // Wipes what is there and keeps the memory.
  void Clear();
  void Add(std::string_view text);
  bool is_full() const { return is_full_; }
  // All that was added. False, and an unspecified set, where that was too much.
  bool Fill(BlockSet* set);

 private:
  std::vector<uint64_t> blocks_;  // never grows: a text may hold a secret
  bool is_full_ = false;
};

// Whether a text in the set may hold a part of the secret, as SecretFinder defines it.
inline bool MayShare(const BlockSet& texts, std::string_view secret) {
  return AnyIndexedBlock(secret, [&texts](uint64_t block) { return texts.MayHold(block); });
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_SECRET_BLOCKS_H_
