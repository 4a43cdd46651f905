// Captured strings as they are kept: hostile bytes made harmless for protobuf and SQLite, and the
// usual shapes of request ids made small.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_TEXT_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace tokenwatch::sqlite {

// The longest text that is kept; far above what agents send.
inline constexpr size_t kMaxTextBytes = 2048;

// `text` as valid UTF-8 without NUL: each NUL and each byte that belongs to no valid sequence
// becomes \xNN. At most `max_bytes` long; what is cut ends in "...", never inside a character.
// Other control characters stay: they are neutralised where they are shown.
std::string CleanText(absl::string_view text, size_t max_bytes = kMaxTextBytes);

// Whether CleanText would return `text` as it is.
bool IsCleanText(absl::string_view text, size_t max_bytes = kMaxTextBytes);

// A request id as bytes to keep: packed (agent/common/request_id.h), or else as clean text.
// `packed` says which.
struct StoredRequestId {
  std::string bytes;
  bool packed = false;
};
StoredRequestId StoreRequestId(absl::string_view text);
std::string RequestIdText(absl::string_view bytes, bool packed);

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_TEXT_H_
