// Bytes that are wiped when they are no longer needed.
#ifndef TOKENWATCH_AGENT_COMMON_SECRET_BUFFER_H_
#define TOKENWATCH_AGENT_COMMON_SECRET_BUFFER_H_

#include <openssl/crypto.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace tokenwatch {

// Growable bytes for secrets. Growth copies into a new block and wipes the old one; destruction,
// Clear and move-assignment wipe. Movable, not copyable; not thread safe.
class SecretBuffer {
 public:
  SecretBuffer() = default;
  explicit SecretBuffer(std::string_view bytes) { Append(bytes); }
  SecretBuffer(SecretBuffer&& other) noexcept
      : block_(std::move(other.block_)), size_(other.size_) {
    other.size_ = 0;
  }
  SecretBuffer& operator=(SecretBuffer&& other) noexcept {
    if (this != &other) {
      Wipe();
      block_ = std::move(other.block_);
      size_ = std::exchange(other.size_, 0);
    }
    return *this;
  }
  SecretBuffer(const SecretBuffer&) = delete;
  SecretBuffer& operator=(const SecretBuffer&) = delete;
  ~SecretBuffer() { Wipe(); }

  void Append(std::string_view bytes) {
    if (bytes.empty()) return;
    Reserve(size_ + bytes.size());
    std::memcpy(block_.data() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  void Append(char c) { Append(std::string_view(&c, 1)); }

  // Makes room for `wanted` bytes in all; saves the copies of growing.
  void Reserve(size_t wanted) {
    if (wanted <= block_.size()) return;
    std::vector<char> larger(std::max(wanted, block_.size() * 2));
    if (size_ != 0) std::memcpy(larger.data(), block_.data(), size_);
    Wipe();
    block_.swap(larger);
  }

  // Adds `count` zero bytes for the caller to fill in; valid until the buffer grows or goes.
  char* Extend(size_t count) {
    Reserve(size_ + count);
    char* added = block_.data() + size_;
    if (count != 0) std::memset(added, 0, count);
    size_ += count;
    return added;
  }

  // Wipes the bytes, keeps the memory.
  void Clear() {
    Wipe();
    size_ = 0;
  }

  std::string_view view() const { return {block_.data(), size_}; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  void Wipe() {
    if (!block_.empty()) OPENSSL_cleanse(block_.data(), block_.size());
  }

  std::vector<char> block_;  // block_.size() is the capacity
  size_t size_ = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_SECRET_BUFFER_H_
