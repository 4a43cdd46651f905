#include "agent/http/hpack_block.h"

#include <algorithm>
#include <cstddef>
#include <optional>

namespace tokenwatch {
namespace {

// RFC 7541, 5.1: an integer in the low bits of `*block`'s first byte and what follows. Nothing
// where it ends early or does not fit 32 bits, which no index, length or size of a real peer needs.
std::optional<uint32_t> TakeInteger(std::string_view* block, int prefix_bits) {
  const uint32_t mask = (1U << prefix_bits) - 1;
  uint64_t value = static_cast<uint8_t>(block->front()) & mask;
  block->remove_prefix(1);
  if (value < mask) return static_cast<uint32_t>(value);
  for (int shift = 0; shift <= 28 && !block->empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(block->front());
    block->remove_prefix(1);
    value += uint64_t{byte & 0x7fU} << shift;
    if (value > UINT32_MAX) return std::nullopt;
    if ((byte & 0x80) == 0) return static_cast<uint32_t>(value);
  }
  return std::nullopt;
}

bool SkipString(std::string_view* block) {
  if (block->empty()) return false;
  const std::optional<uint32_t> size = TakeInteger(block, 7);
  if (!size.has_value() || *size > block->size()) return false;
  block->remove_prefix(*size);
  return true;
}

}  // namespace

HpackNeeds FindHpackNeeds(std::string_view block) {
  HpackNeeds needs;
  uint32_t inserted = 0;
  bool begun = false;  // size updates come first (RFC 7541, 4.2)
  while (!block.empty()) {
    const auto first = static_cast<uint8_t>(block.front());
    const bool is_update = (first & 0xe0) == 0x20;
    const bool is_indexed = (first & 0x80) != 0;
    const bool is_inserted = (first & 0xc0) == 0x40;
    const std::optional<uint32_t> number = TakeInteger(&block, is_indexed    ? 7
                                                               : is_inserted ? 6
                                                               : is_update   ? 5
                                                                             : 4);
    if (!number.has_value()) break;
    if (is_update) {
      if (begun) break;
      needs.smallest_table = std::min(needs.smallest_table, *number);
      needs.largest_table = std::max(needs.largest_table, *number);
      continue;
    }
    begun = true;
    if (*number > kHpackStaticEntries + inserted) {
      needs.entries = std::max(needs.entries, *number - kHpackStaticEntries - inserted);
    }
    if (is_indexed) continue;
    if (*number == 0 && !SkipString(&block)) break;
    if (!SkipString(&block)) break;
    if (is_inserted) ++inserted;
  }
  return needs;
}

}  // namespace tokenwatch
