#include "agent/capture/segment.h"

#include <cstring>

#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

// Copies a fixed struct out of a record whose size has been checked.
template <typename T>
T Copy(absl::Span<const uint8_t> record) {
  T out;
  std::memcpy(&out, record.data(), sizeof(T));
  return out;
}

}  // namespace

absl::StatusOr<Segment> ParseSegment(absl::Span<const uint8_t> record) {
  if (record.size() < sizeof(tw_header)) return absl::InvalidArgumentError("record has no header");
  const auto header = Copy<tw_header>(record);
  if (header.version != TW_SEGMENT_VERSION) {
    return absl::InvalidArgumentError(absl::StrCat("segment version ", header.version));
  }
  size_t size = 0;
  switch (header.type) {
    case TW_DATA:
      size = sizeof(tw_data);
      break;
    case TW_PEER:
      size = sizeof(tw_peer);
      break;
    case TW_CLOSE:
      size = sizeof(tw_close);
      break;
    case TW_GAP:
      size = sizeof(tw_gap);
      break;
    case TW_PROCESS:
      size = sizeof(tw_process);
      break;
    case TW_EXIT:
      size = sizeof(tw_exit);
      break;
    case TW_TLS:
      size = sizeof(tw_tls);
      break;
    default:
      return absl::InvalidArgumentError(absl::StrCat("segment type ", header.type));
  }
  if (header.size != size || record.size() < size || record.size() - size < header.len) {
    return absl::InvalidArgumentError(
        absl::StrCat("segment type ", header.type, " of ", record.size(), " bytes is cut short"));
  }
  switch (header.type) {
    case TW_DATA: {
      DataSegment data;
      data.meta = Copy<tw_data>(record);
      data.bytes = {reinterpret_cast<const char*>(record.data()) + size, header.len};
      return data;
    }
    case TW_PEER:
      return Copy<tw_peer>(record);
    case TW_CLOSE:
      return Copy<tw_close>(record);
    case TW_GAP:
      return Copy<tw_gap>(record);
    case TW_PROCESS:
      return reinterpret_cast<const tw_process*>(record.data());
    case TW_TLS:
      return Copy<tw_tls>(record);
    default:
      return Copy<tw_exit>(record);
  }
}

}  // namespace tokenwatch
