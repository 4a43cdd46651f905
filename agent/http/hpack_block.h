// What an HPACK block (RFC 7541) says of the table it needs, without decoding its strings.
#ifndef TOKENWATCH_AGENT_HTTP_HPACK_BLOCK_H_
#define TOKENWATCH_AGENT_HTTP_HPACK_BLOCK_H_

#include <cstdint>
#include <string_view>

namespace tokenwatch {

inline constexpr uint32_t kHpackStaticEntries = 61;

struct HpackNeeds {
  // Entries that the dynamic table must hold before the block, or an index of it points past them.
  uint32_t entries = 0;
  // Table sizes that the block sets before it uses the table, bytes. What does not fit the smallest
  // is gone from the table.
  uint32_t smallest_table = UINT32_MAX;
  uint32_t largest_table = 0;
};

// Of a block that ends early or makes no sense, what comes before that place. Linear time.
HpackNeeds FindHpackNeeds(std::string_view block);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_HPACK_BLOCK_H_
