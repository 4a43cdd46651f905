// Where a list goes on. The text is opaque to clients; it survives a restart of the collector.
#ifndef TOKENWATCH_COLLECTOR_STORE_PAGE_TOKEN_H_
#define TOKENWATCH_COLLECTOR_STORE_PAGE_TOKEN_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace tokenwatch {

enum class ListKind : uint8_t { kUses = 1, kTokens = 2, kAgents = 3, kFindings = 4 };

// The last row of the page before, and what must not move between pages.
struct PagePosition {
  int64_t since_us = 0;  // the filters' bounds as the first page read them
  int64_t until_us = 0;
  int64_t time_us = 0;   // last row: its time
  int64_t row = 0;       // and its number, which breaks ties
  int64_t snapshot = 0;  // last use that the first page could see
};

// `fingerprint` is the filters' (Filter::fingerprint).
std::string WritePageToken(ListKind kind, uint64_t fingerprint, const PagePosition& position);

// InvalidArgument where `text` was not made by WritePageToken for this list with these filters.
absl::StatusOr<PagePosition> ReadPageToken(ListKind kind, uint64_t fingerprint,
                                           const std::string& text);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_PAGE_TOKEN_H_
