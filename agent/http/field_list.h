// Decoded header fields, in memory that is wiped.
#ifndef TOKENWATCH_AGENT_HTTP_FIELD_LIST_H_
#define TOKENWATCH_AGENT_HTTP_FIELD_LIST_H_

#include <cstddef>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "agent/common/secret_buffer.h"
#include "agent/http/exchange.h"

namespace tokenwatch {

// Not thread safe.
class FieldList {
 public:
  // False where the field does not fit the limits; then it, and whatever is added later, is left
  // out.
  bool Add(std::string_view name, std::string_view value) {
    if (overflowed_ || places_.size() >= kMaxFields ||
        bytes_.size() + name.size() + value.size() > kMaxBytes) {
      overflowed_ = true;
      return false;
    }
    places_.push_back({bytes_.size(), name.size(), value.size()});
    bytes_.Append(name);
    bytes_.Append(value);
    return true;
  }

  // Valid until Add or Clear.
  HeaderField operator[](size_t i) const {
    const Place& place = places_[i];
    const std::string_view bytes = bytes_.view().substr(place.at);
    return {bytes.substr(0, place.name), bytes.substr(place.name, place.value)};
  }
  size_t size() const { return places_.size(); }
  // Some fields are missing, for there were too many.
  bool Overflowed() const { return overflowed_; }

  // Wipes. What one large block took is given back.
  void Clear() {
    if (bytes_.size() > kKeptBytes) {
      bytes_ = SecretBuffer();
    } else if (!bytes_.empty()) {
      bytes_.Clear();
    }
    places_.clear();
    overflowed_ = false;
  }

  static constexpr size_t kMaxFields = 512;
  static constexpr size_t kMaxBytes = 256 << 10;

 private:
  static constexpr size_t kKeptBytes = 8 << 10;
  struct Place {
    size_t at, name, value;
  };

  SecretBuffer bytes_;
  std::vector<Place> places_;
  bool overflowed_ = false;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_FIELD_LIST_H_
