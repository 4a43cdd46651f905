// Values by a 128-bit key, of which those that were used last are kept.
#ifndef TOKENWATCH_AGENT_TOKEN_LRU_H_
#define TOKENWATCH_AGENT_TOKEN_LRU_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <list>
#include <utility>

#include "absl/container/flat_hash_map.h"

namespace tokenwatch {

// Not thread safe. Keys are hashes under a secret key: nobody outside can choose them.
template <typename Value>
class Lru {
 public:
  using Key = std::array<uint64_t, 2>;

  explicit Lru(size_t limit) : limit_(limit) {}

  // Null where it is not known. Valid until the next Add.
  Value* Find(const Key& key) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return &found->second->second;
  }

  // A new value in place of the one that was unused longest. `key` is not known yet.
  Value& Add(const Key& key) {
    if (entries_.size() >= limit_ && !entries_.empty()) {
      const auto oldest = std::prev(entries_.end());
      by_key_.erase(oldest->first);
      *oldest = {key, Value()};
      entries_.splice(entries_.begin(), entries_, oldest);
    } else {
      entries_.emplace_front(key, Value());
    }
    by_key_[key] = entries_.begin();
    return entries_.front().second;
  }

  size_t size() const { return entries_.size(); }

 private:
  using Entries = std::list<std::pair<Key, Value>>;

  const size_t limit_;
  Entries entries_;  // used last first
  absl::flat_hash_map<Key, typename Entries::iterator> by_key_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_LRU_H_
