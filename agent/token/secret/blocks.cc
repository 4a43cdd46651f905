#include "agent/token/secret/blocks.h"

#include <openssl/rand.h>

#include <algorithm>
#include <bit>

namespace tokenwatch {

uint64_t BlockSeed() {
  static const uint64_t seed = [] {
    uint64_t random = 0x9e3779b97f4a7c15;
    // Without random bytes the agent does not start: TokenCache says so.
    (void)RAND_bytes(reinterpret_cast<unsigned char*>(&random), sizeof(random));
    return random | 1;
  }();
  return seed;
}

void BlockSet::Reset(size_t blocks) {
  const size_t slots = std::bit_ceil(blocks + blocks / 2 + 1);
  slots_.assign(slots, 0);
  mask_ = slots - 1;
}

void BlockSet::Add(uint64_t block) {
  const uint64_t hash = block * seed_;
  const uint32_t tag = TagOf(hash);
  size_t slot = hash >> 48 & mask_;
  while (slots_[slot] != 0 && slots_[slot] != tag) slot = (slot + 1) & mask_;
  slots_[slot] = tag;
}

void TextBlocks::Clear() {
  OPENSSL_cleanse(blocks_.data(), blocks_.size() * sizeof(uint64_t));
  blocks_.clear();
  is_full_ = false;
}

void TextBlocks::Add(std::string_view text) {
  AnyBlock(text, [this](uint64_t block) {
    is_full_ = is_full_ || blocks_.size() == kMost;
    if (!is_full_) blocks_.push_back(block);
    return is_full_;
  });
}

bool TextBlocks::Fill(BlockSet* set) {
  std::sort(blocks_.begin(), blocks_.end());
  const auto end = std::unique(blocks_.begin(), blocks_.end());
  const auto different = static_cast<size_t>(end - blocks_.begin());
  if (is_full_ || different > kMostDifferent) return false;
  set->Reset(different);
  for (auto block = blocks_.begin(); block != end; ++block) set->Add(*block);
  return true;
}

}  // namespace tokenwatch
