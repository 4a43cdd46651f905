#include "collector/store/page_token.h"

#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"

namespace tokenwatch {
namespace {

constexpr uint8_t kVersion = 1;

struct Packed {
  uint8_t version;
  uint8_t kind;
  uint8_t reserved[6];
  uint64_t fingerprint;
  PagePosition position;
};
static_assert(sizeof(Packed) == 56);

}  // namespace

std::string WritePageToken(ListKind kind, uint64_t fingerprint, const PagePosition& position) {
  const Packed packed = {kVersion, static_cast<uint8_t>(kind), {}, fingerprint, position};
  return absl::WebSafeBase64Escape(
      absl::string_view(reinterpret_cast<const char*>(&packed), sizeof(packed)));
}

absl::StatusOr<PagePosition> ReadPageToken(ListKind kind, uint64_t fingerprint,
                                           const std::string& text) {
  std::string bytes;
  Packed packed{};
  if (!absl::WebSafeBase64Unescape(text, &bytes) || bytes.size() != sizeof(packed)) {
    return absl::InvalidArgumentError(
        "page_token: was not made here; leave it out to start from the first page");
  }
  std::memcpy(&packed, bytes.data(), sizeof(packed));
  if (packed.version != kVersion || packed.kind != static_cast<uint8_t>(kind) ||
      packed.fingerprint != fingerprint) {
    return absl::InvalidArgumentError(
        "page_token: belongs to another list or other filters; repeat the first page's filters, or "
        "leave it out to start from the first page");
  }
  return packed.position;
}

}  // namespace tokenwatch
