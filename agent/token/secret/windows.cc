#include "agent/token/secret/windows.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <utility>

#include "agent/token/secret/blocks.h"
#include "agent/token/secret/redact.h"

namespace tokenwatch {
namespace {

constexpr int kTagBits = 24;

uint64_t Seed() {
  static const uint64_t seed = BlockSeed();
  return seed;
}

// The top bits of the product depend on every byte.
uint32_t Tag(uint64_t block, uint64_t seed) {
  block *= seed;
  block ^= block >> 29;
  return static_cast<uint32_t>((block * 0x9e3779b97f4a7c15) >> (64 - kTagBits));
}

}  // namespace

size_t SecretWindows::Add(std::string_view secret) {
  Secret& added = secrets_.emplace_back();
  added.begin = added.end = static_cast<uint32_t>(tags_.size());
  if (secret.size() > kLongest) {
    added.too_long = true;
  } else if (secret.size() >= kShortestSecret) {
    if (const size_t needed = tags_.size() + secret.size() / kStride; needed > tags_.capacity()) {
      // Where the vector grew by itself, it would leave tags behind.
      std::vector<uint32_t> larger;
      larger.reserve(2 * needed);
      larger.assign(tags_.begin(), tags_.end());
      OPENSSL_cleanse(tags_.data(), tags_.size() * sizeof(uint32_t));
      tags_.swap(larger);
    }
    AnyIndexedBlock(secret, [this, seed = Seed()](uint64_t block) {
      tags_.push_back(Tag(block, seed));
      return false;
    });
    added.end = static_cast<uint32_t>(tags_.size());
  }
  return secrets_.size() - 1;
}

bool SecretWindows::MayOccurIn(size_t number, std::string_view text) {
  Secret& secret = secrets_[number];
  if (secret.too_long) return text.size() >= SecretFinder::kWindow;
  if (secret.begin == secret.end) return false;
  const auto begin = tags_.begin() + secret.begin, end = tags_.begin() + secret.end;
  // Few exchanges have anything to ask.
  if (!std::exchange(secret.sorted, true)) std::sort(begin, end);
  return AnyBlock(text, [begin, end, seed = Seed()](uint64_t block) {
    return std::binary_search(begin, end, Tag(block, seed));
  });
}

bool SecretWindows::AnyMayOccurIn(std::string_view text) {
  for (size_t number = 0; number < secrets_.size(); ++number) {
    if (MayOccurIn(number, text)) return true;
  }
  return false;
}

void SecretWindows::Clear() {
  if (!tags_.empty()) OPENSSL_cleanse(tags_.data(), tags_.size() * sizeof(uint32_t));
  tags_.clear();
  secrets_.clear();
}

}  // namespace tokenwatch
