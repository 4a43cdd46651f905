// Numbers, texts and structs as bytes, between the two processes of one binary.
//
// A type is described once, by a function `template <class Wire> void Describe(Wire& wire, T& it)`
// that names its members in their order; writing and reading both go through it, so that the two
// cannot differ. No version: both ends are the same program.
#ifndef TOKENWATCH_AGENT_BROKER_WIRE_H_
#define TOKENWATCH_AGENT_BROKER_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "agent/common/secret_buffer.h"

namespace tokenwatch {

// What it writes may be secret: it is wiped.
class WireWriter {
 public:
  template <typename... T>
  void operator()(const T&... members) {
    (Put(members), ...);
  }
  void PutText(std::string_view text) {
    PutNumber(text.size());
    bytes_.Append(text);
  }
  std::string_view bytes() const { return bytes_.view(); }

 private:
  void PutNumber(uint64_t number) {
    bytes_.Append({reinterpret_cast<const char*>(&number), sizeof(number)});
  }
  void Put(const std::string& text) { PutText(text); }
  template <typename T>
  void Put(const std::vector<T>& list) {
    PutNumber(list.size());
    for (const T& one : list) Put(one);
  }
  template <typename K, typename V>
  void Put(const std::map<K, V>& map) {
    PutNumber(map.size());
    for (const auto& [key, value] : map) (*this)(key, value);
  }
  template <typename T>
  void Put(const std::optional<T>& maybe) {
    PutNumber(maybe.has_value() ? 1 : 0);
    if (maybe.has_value()) Put(*maybe);
  }
  template <typename T>
  void Put(const T& value) {
    if constexpr (std::is_integral_v<T>) {
      PutNumber(static_cast<uint64_t>(value));
    } else {
      Describe(*this, const_cast<T&>(value));
    }
  }

  SecretBuffer bytes_;
};

// Reads what a WireWriter wrote. Where the bytes are something else, ok() is false and what was
// read is of no use; nothing is ever read behind them, and no list is longer than they are.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : bytes_(bytes) {}

  template <typename... T>
  void operator()(T&... members) {
    (Get(members), ...);
  }
  // Valid as long as the bytes are.
  std::string_view GetText() {
    const uint64_t size = GetNumber();
    if (!ok_ || size > bytes_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view text = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return text;
  }
  // All was there so far.
  bool ok() const { return ok_; }
  // And nothing is left over.
  bool IsDone() const { return ok_ && bytes_.empty(); }

 private:
  uint64_t GetNumber() {
    uint64_t number = 0;
    if (!ok_ || bytes_.size() < sizeof(number)) {
      ok_ = false;
      return 0;
    }
    std::memcpy(&number, bytes_.data(), sizeof(number));
    bytes_.remove_prefix(sizeof(number));
    return number;
  }
  // Every element takes a number at least.
  uint64_t GetCount() {
    const uint64_t count = GetNumber();
    if (count > bytes_.size() / sizeof(uint64_t)) ok_ = false;
    return ok_ ? count : 0;
  }
  void Get(std::string& text) { text = std::string(GetText()); }
  template <typename T>
  void Get(std::vector<T>& list) {
    const uint64_t count = GetCount();
    list.clear();
    for (uint64_t i = 0; i < count && ok_; ++i) {
      T one{};
      Get(one);
      list.push_back(std::move(one));
    }
  }
  template <typename K, typename V>
  void Get(std::map<K, V>& map) {
    const uint64_t count = GetCount();
    map.clear();
    for (uint64_t i = 0; i < count && ok_; ++i) {
      K key{};
      V value{};
      (*this)(key, value);
      map.insert_or_assign(std::move(key), std::move(value));
    }
  }
  template <typename T>
  void Get(std::optional<T>& maybe) {
    maybe.reset();
    if (GetNumber() == 0 || !ok_) return;
    Get(maybe.emplace());
  }
  template <typename T>
  void Get(T& value) {
    if constexpr (std::is_integral_v<T>) {
      value = static_cast<T>(GetNumber());
    } else {
      Describe(*this, value);
    }
  }

  std::string_view bytes_;
  bool ok_ = true;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_BROKER_WIRE_H_
