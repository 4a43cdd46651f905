// A map that remembers about the newest entries only.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_BOUNDED_CACHE_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_BOUNDED_CACHE_H_

#include <cstddef>
#include <utility>

#include "absl/container/flat_hash_map.h"

namespace tokenwatch::sqlite {

// Two generations of at most `capacity` entries: when the young one is full it becomes the old one,
// and what is found in the old one moves to the young one. So an entry that is used at least once
// in `capacity` insertions stays. Not thread safe.
template <typename Key, typename Value>
class BoundedCache {
 public:
  explicit BoundedCache(size_t capacity) : capacity_(capacity) {}

  // The entry, or null. Valid until the next call.
  template <typename Lookup>
  Value* Find(const Lookup& key) {
    if (auto found = young_.find(key); found != young_.end()) return &found->second;
    auto found = old_.find(key);
    if (found == old_.end()) return nullptr;
    Key moved_key = found->first;
    Value moved_value = std::move(found->second);
    old_.erase(found);
    return Insert(std::move(moved_key), std::move(moved_value));
  }

  // Adds or replaces; returns the entry as Find does.
  Value* Insert(Key key, Value value) {
    if (young_.size() >= capacity_) {
      old_ = std::move(young_);
      young_.clear();
    }
    return &young_.insert_or_assign(std::move(key), std::move(value)).first->second;
  }

  template <typename Lookup>
  void Erase(const Lookup& key) {
    young_.erase(key);
    old_.erase(key);
  }

  void Clear() {
    young_.clear();
    old_.clear();
  }

 private:
  const size_t capacity_;
  absl::flat_hash_map<Key, Value> young_;
  absl::flat_hash_map<Key, Value> old_;
};

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_BOUNDED_CACHE_H_
