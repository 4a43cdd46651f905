#include "agent/token/secret/windows.h"

#include <algorithm>
#include <bit>

#include "agent/token/secret/blocks.h"
#include "agent/token/secret/redact.h"

namespace tokenwatch {
namespace {

constexpr int kRare = 13;  // one block in 2^13 has a tag by chance

// The top bits of the product depend on every byte.
uint32_t Tag(uint64_t block, int bits) {
  static const uint64_t seed = BlockSeed();
  block *= seed;
  block ^= block >> 29;
  return static_cast<uint32_t>((block * 0x9e3779b97f4a7c15) >> (64 - bits));
}

}  // namespace

SecretWindows::SecretWindows(std::string_view secret) {
  if (secret.size() < kShortestSecret) return;
  if (secret.size() > kLongest) {
    too_long_ = true;
    return;
  }
  const size_t blocks = (secret.size() - kBlock) / kStride + 1;
  bits_ = kRare + std::bit_width(blocks);
  tags_.reserve(blocks);
  AnyIndexedBlock(secret, [this](uint64_t block) {
    tags_.push_back(Tag(block, bits_));
    return false;
  });
  std::sort(tags_.begin(), tags_.end());
}

bool SecretWindows::MayOccurIn(std::string_view text) const {
  if (too_long_) return text.size() >= SecretFinder::kWindow;
  if (tags_.empty()) return false;
  return AnyBlock(text, [this](uint64_t block) {
    return std::binary_search(tags_.begin(), tags_.end(), Tag(block, bits_));
  });
}

}  // namespace tokenwatch
