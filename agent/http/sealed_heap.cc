#include "agent/http/sealed_heap.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <cstring>

namespace tokenwatch {

HeapCipher::HeapCipher() : context_(EVP_CIPHER_CTX_new()) {
  std::array<unsigned char, 32> key{};
  keyed_ = context_ != nullptr && RAND_bytes(key.data(), key.size()) == 1 &&
           EVP_EncryptInit_ex(context_.get(), EVP_aes_256_ctr(), nullptr, key.data(), nullptr) == 1;
  OPENSSL_cleanse(key.data(), key.size());
}

bool HeapCipher::Begin(uint64_t nonce) {
  // The other half counts blocks.
  std::array<unsigned char, 16> start{};
  std::memcpy(start.data(), &nonce, sizeof(nonce));
  return keyed_ && EVP_EncryptInit_ex(context_.get(), nullptr, nullptr, nullptr, start.data()) == 1;
}

bool HeapCipher::Apply(unsigned char* bytes, size_t size) {
  int written = 0;
  return size <= INT_MAX &&
         EVP_EncryptUpdate(context_.get(), bytes, &written, bytes, static_cast<int>(size)) == 1;
}

SealedHeap::SealedHeap(HeapCipher* cipher, size_t limit) : cipher_(cipher), limit_(limit) {
  blocks_.next = blocks_.previous = &blocks_;
  blocks_.size = 0;
  allocator_.mem_user_data = this;
  allocator_.malloc = [](size_t size, void* user) { return Of(user).Allocate(size); };
  allocator_.free = [](void* bytes, void* user) { Of(user).Free(bytes); };
  allocator_.calloc = [](size_t count, size_t size, void* user) -> void* {
    if (size != 0 && count > SIZE_MAX / size) return nullptr;
    void* const bytes = Of(user).Allocate(count * size);
    if (bytes != nullptr) std::memset(bytes, 0, count * size);
    return bytes;
  };
  allocator_.realloc = [](void* bytes, size_t size, void* user) {
    return Of(user).Reallocate(bytes, size);
  };
}

SealedHeap::~SealedHeap() {
  for (Block* block = blocks_.next; block != &blocks_;) {
    Block* const next = block->next;
    Free(block + 1);
    block = next;
  }
}

void* SealedHeap::Allocate(size_t size) {
  if (size > limit_ || bytes_ + sizeof(Block) + size > limit_) return nullptr;
  auto* const block = static_cast<Block*>(std::malloc(sizeof(Block) + size));
  if (block == nullptr) return nullptr;
  block->size = size;
  block->next = &blocks_;
  block->previous = blocks_.previous;
  block->previous->next = block;
  blocks_.previous = block;
  bytes_ += sizeof(Block) + size;
  return block + 1;
}

void SealedHeap::Free(void* bytes) {
  if (bytes == nullptr) return;
  Block* const block = static_cast<Block*>(bytes) - 1;
  block->previous->next = block->next;
  block->next->previous = block->previous;
  bytes_ -= sizeof(Block) + block->size;
  OPENSSL_cleanse(bytes, block->size);
  std::free(block);
}

void* SealedHeap::Reallocate(void* bytes, size_t size) {
  void* const larger = Allocate(size);
  if (larger == nullptr || bytes == nullptr) return larger;
  std::memcpy(larger, bytes, std::min(size, (static_cast<Block*>(bytes) - 1)->size));
  Free(bytes);
  return larger;
}

bool SealedHeap::Seal() {
  if (sealed_) return true;
  nonce_ = cipher_->NextNonce();
  sealed_ = true;
  return ApplyToAll();
}

bool SealedHeap::Open() {
  if (!sealed_) return true;
  sealed_ = false;
  return ApplyToAll();
}

bool SealedHeap::ApplyToAll() {
  if (!cipher_->Begin(nonce_)) return false;
  for (Block* block = blocks_.next; block != &blocks_; block = block->next) {
    if (!cipher_->Apply(reinterpret_cast<unsigned char*>(block + 1), block->size)) return false;
  }
  return true;
}

}  // namespace tokenwatch
