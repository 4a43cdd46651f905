// Looking a name up in a constant table without a walk over its rows.
#ifndef TOKENWATCH_AGENT_TOKEN_CARRIERS_NAME_TABLE_H_
#define TOKENWATCH_AGENT_TOKEN_CARRIERS_NAME_TABLE_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "agent/common/text.h"

namespace tokenwatch {

// Names that compare without case (ASCII), each with a number. Built by the compiler: a flat table
// with open addressing that is at most a quarter full.
template <size_t kNames>
class NameTable {
 public:
  static constexpr size_t kNotThere = SIZE_MAX;

  // The number of a name is its place in `names`, which are lower case; empty ones are left out. Of
  // equal names the first is found.
  constexpr explicit NameTable(const std::array<std::string_view, kNames>& names) : names_(names) {
    for (size_t i = 0; i < kNames; ++i) {
      if (names[i].empty()) continue;
      size_t slot = Hash(names[i]) % kSlots;
      while (slots_[slot] != 0) slot = (slot + 1) % kSlots;
      slots_[slot] = static_cast<uint16_t>(i + 1);
    }
  }

  size_t Find(std::string_view name) const {
    for (size_t slot = Hash(name) % kSlots; slots_[slot] != 0; slot = (slot + 1) % kSlots) {
      const size_t i = slots_[slot] - 1;
      // HTTP/2 sends lower case.
      if (names_[i] == name || EqualsIgnoreCase(names_[i], name)) return i;
    }
    return kNotThere;
  }

 private:
  static_assert(kNames < UINT16_MAX);
  static constexpr size_t kSlots = std::bit_ceil(4 * kNames);

  // Up to eight bytes at `at`, letters in lower case (and a few other bytes folded as well, which
  // costs no more than a comparison).
  static constexpr uint64_t Bytes(std::string_view name, size_t at, size_t count) {
    uint64_t bytes = 0;
    if (!std::is_constant_evaluated() && count == 8) {
      std::memcpy(&bytes, name.data() + at, 8);
    } else {
      for (size_t i = 0; i < count; ++i) {
        bytes |= uint64_t{static_cast<unsigned char>(name[at + i])} << (8 * i);
      }
    }
    return bytes | 0x2020202020202020;
  }

  // Of the length and both ends: what is between tells no two names of a table apart for long.
  static constexpr size_t Hash(std::string_view name) {
    const size_t count = name.size() < 8 ? name.size() : 8;
    uint64_t hash = name.size() * 0x9e3779b97f4a7c15;
    hash = (hash ^ Bytes(name, 0, count)) * 0xff51afd7ed558ccd;
    hash = (hash ^ (hash >> 32) ^ Bytes(name, name.size() - count, count)) * 0xc4ceb9fe1a85ec53;
    return static_cast<size_t>(hash ^ (hash >> 29));
  }

  std::array<std::string_view, kNames> names_;
  std::array<uint16_t, kSlots> slots_ = {};
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_CARRIERS_NAME_TABLE_H_
