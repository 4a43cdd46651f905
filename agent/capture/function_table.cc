#include "agent/capture/function_table.h"

#include <unistd.h>

#include <cstring>

namespace tokenwatch {
namespace {

// The one form that linkers write: version 1, a 4-byte pointer to .eh_frame, a 4-byte count, and
// pairs of 4-byte distances from the table's own address, sorted.
constexpr uint8_t kForm[] = {1, 0x1b, 0x03, 0x3b};
constexpr uint64_t kHeader = 12;
constexpr uint64_t kEntry = 8;

}  // namespace

FunctionTable::FunctionTable(int fd, const ElfSymbols& symbols) : fd_(fd), symbols_(symbols) {
  uint8_t header[kHeader];
  if (symbols.unwind.size < kHeader ||
      pread(fd, header, sizeof(header), static_cast<off_t>(symbols.unwind.offset)) !=
          static_cast<ssize_t>(sizeof(header)) ||
      std::memcmp(header, kForm, sizeof(kForm)) != 0) {
    return;
  }
  uint32_t count = 0;
  std::memcpy(&count, header + 8, sizeof(count));
  if (count <= (symbols.unwind.size - kHeader) / kEntry) entries_ = count;
}

const CodeRange* FunctionTable::RangeOf(uint64_t offset) const {
  for (const CodeRange& range : symbols_.code) {
    if (offset >= range.begin && offset < range.end) return &range;
  }
  return nullptr;
}

std::optional<uint64_t> FunctionTable::Begin(uint64_t index) const {
  int32_t distance = 0;
  const uint64_t at = symbols_.unwind.offset + kHeader + index * kEntry;
  if (pread(fd_, &distance, sizeof(distance), static_cast<off_t>(at)) !=
      static_cast<ssize_t>(sizeof(distance))) {
    return std::nullopt;
  }
  const uint64_t address = symbols_.unwind.address + static_cast<uint64_t>(int64_t{distance});
  for (const CodeRange& range : symbols_.code) {
    const uint64_t offset = address - range.bias;
    if (offset >= range.begin && offset < range.end) return offset;
  }
  return std::nullopt;
}

std::optional<FunctionPart> FunctionTable::Find(uint64_t offset) const {
  const CodeRange* range = RangeOf(offset);
  if (range == nullptr) return std::nullopt;
  uint64_t low = 0,
           high = entries_;  // the last entry that begins at or before it is in [low, high)
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    const std::optional<uint64_t> begin = Begin(middle);
    if (!begin.has_value()) return std::nullopt;
    (*begin <= offset ? low : high) = middle;
  }
  if (entries_ == 0) return std::nullopt;
  const std::optional<uint64_t> begin = Begin(low);
  if (!begin.has_value() || *begin > offset || *begin < range->begin) return std::nullopt;
  const std::optional<uint64_t> next = high < entries_ ? Begin(high) : std::nullopt;
  return FunctionPart{*begin, next.has_value() && *next <= range->end ? *next : range->end};
}

}  // namespace tokenwatch
