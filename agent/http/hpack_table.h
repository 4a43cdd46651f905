// HPACK tables of live connections, as one agent gives them to the next.
//
// Credentials stand in them: whoever holds the bytes wipes them.
#ifndef TOKENWATCH_AGENT_HTTP_HPACK_TABLE_H_
#define TOKENWATCH_AGENT_HTTP_HPACK_TABLE_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "agent/common/secret_buffer.h"

namespace tokenwatch {

// Whose table it is, and after which header block of its direction it was so.
struct HpackTableHead {
  uint32_t pid = 0;
  uint32_t tag = 0;  // tw_data.tag
  // Of the last block: the stream; of answers twice that, and one more where it ended the stream.
  uint32_t position = 0;
  uint32_t newest_request = 0;  // stream
  uint32_t unknown = 0;         // at most so many older entries were not seen
  uint32_t max_bytes = 0;       // of the table
  uint8_t is_response = 0;
  uint8_t is_idle = 0;  // no request awaits its answer
};

// `entries` are the table's fields from the oldest on, as a header block adds them.
struct HpackTable {
  HpackTableHead head;
  std::string_view entries;
};

void AppendTable(const HpackTable& table, SecretBuffer* out);
// Takes the first table off `bytes`, into which it points. Nothing where there is no whole one.
std::optional<HpackTable> TakeTable(std::string_view* bytes);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_HPACK_TABLE_H_
