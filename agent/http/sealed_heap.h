// Memory of a library that keeps secrets, encrypted while it is not in use.
//
// An HPACK table holds credentials as long as a peer may refer to them, which is the connection's
// life. Sealed, its memory holds no plain byte of them: none is found in the agent's memory while
// it idles, in a core dump that goes without the key, or in swap. It is no protection from whoever
// can read all of the process at once: the key is in it, as is the plaintext while a block is
// decoded.
#ifndef TOKENWATCH_AGENT_HTTP_SEALED_HEAP_H_
#define TOKENWATCH_AGENT_HTTP_SEALED_HEAP_H_

#include <nghttp2/nghttp2.h>
#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace tokenwatch {

// AES-256-CTR under a random key of its own, which is never stored. Not thread safe.
class HeapCipher {
 public:
  HeapCipher();

  // Nonces are never given twice.
  uint64_t NextNonce() { return ++nonce_; }
  // Begins the key stream of `nonce`. False where the cipher is not to be had.
  bool Begin(uint64_t nonce);
  // Encrypts or decrypts in place, on with the key stream.
  bool Apply(unsigned char* bytes, size_t size);

 private:
  struct Free {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };

  std::unique_ptr<EVP_CIPHER_CTX, Free> context_;
  bool keyed_ = false;
  uint64_t nonce_ = 0;
};

// Every allocation is known, so all can be sealed, and all are wiped when they are given back. Its
// address stays. Not thread safe.
class SealedHeap {
 public:
  // `cipher` must outlive the heap. Past `limit` bytes allocations fail.
  SealedHeap(HeapCipher* cipher, size_t limit);
  // Wipes and frees what is left, sealed or not; nothing may be used behind it.
  ~SealedHeap();
  SealedHeap(const SealedHeap&) = delete;
  SealedHeap& operator=(const SealedHeap&) = delete;

  // For the library's functions; valid as long as the heap is.
  nghttp2_mem* Allocator() { return &allocator_; }

  // Between these two, nothing may be allocated or freed. False where it failed: the bytes are then
  // of no use, and the heap can only be destroyed.
  bool Seal();
  bool Open();
  bool IsSealed() const { return sealed_; }

  // Allocated, with what keeping them takes.
  size_t Bytes() const { return bytes_; }

 private:
  // Comes before the bytes of each allocation.
  struct alignas(16) Block {
    Block* next;
    Block* previous;
    size_t size;
  };

  static SealedHeap& Of(void* user) { return *static_cast<SealedHeap*>(user); }
  void* Allocate(size_t size);
  void Free(void* bytes);
  void* Reallocate(void* bytes, size_t size);
  bool ApplyToAll();

  HeapCipher* const cipher_;
  const size_t limit_;
  nghttp2_mem allocator_;
  Block blocks_;  // head of a ring
  size_t bytes_ = 0;
  uint64_t nonce_ = 0;
  bool sealed_ = false;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_SEALED_HEAP_H_
