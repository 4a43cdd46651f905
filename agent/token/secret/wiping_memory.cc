#include "agent/token/secret/wiping_memory.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace tokenwatch {
namespace {

// Before each block; keeps its alignment.
struct alignas(std::max_align_t) Header {
  size_t size;
};

}  // namespace

void* WipingAllocate(size_t size) {
  if (size > kWipingMax) return nullptr;
  void* const memory = std::malloc(sizeof(Header) + size);
  if (memory == nullptr) return nullptr;
  return new (memory) Header{size} + 1;
}

void* WipingReallocate(void* memory, size_t size) {
  if (memory == nullptr) return WipingAllocate(size);
  void* const larger = WipingAllocate(size);
  if (larger == nullptr) return nullptr;
  std::memcpy(larger, memory, std::min(size, (static_cast<Header*>(memory) - 1)->size));
  WipingFree(memory);
  return larger;
}

void WipingFree(void* memory) {
  if (memory == nullptr) return;
  Header* const header = static_cast<Header*>(memory) - 1;
  OPENSSL_cleanse(memory, header->size);
  std::free(header);
}

}  // namespace tokenwatch
