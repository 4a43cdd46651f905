#include "agent/http/hpack_table.h"

#include <cstring>
#include <type_traits>

namespace tokenwatch {
namespace {

// Of one process's memory to another's on the same machine, by the same build or one that says the
// same protocol: as it lies there.
struct Raw {
  HpackTableHead head;
  uint32_t size;
};
static_assert(std::is_trivially_copyable_v<Raw> && sizeof(Raw) == 32);

}  // namespace

void AppendTable(const HpackTable& table, SecretBuffer* out) {
  Raw raw = {table.head, static_cast<uint32_t>(table.entries.size())};
  char bytes[sizeof(raw)];
  std::memcpy(bytes, &raw, sizeof(raw));
  out->Append({bytes, sizeof(bytes)});
  out->Append(table.entries);
}

std::optional<HpackTable> TakeTable(std::string_view* bytes) {
  Raw raw;
  if (bytes->size() < sizeof(raw)) return std::nullopt;
  std::memcpy(&raw, bytes->data(), sizeof(raw));
  if (bytes->size() - sizeof(raw) < raw.size) return std::nullopt;
  HpackTable table{raw.head, bytes->substr(sizeof(raw), raw.size)};
  bytes->remove_prefix(sizeof(raw) + raw.size);
  return table;
}

}  // namespace tokenwatch
