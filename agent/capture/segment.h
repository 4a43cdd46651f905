// What the kernel side hands over, as the other rooms see it.
//
// The structs are those of bpf/segment.h, checked for size and type; bytes are views into the ring
// buffer and valid only during the call that delivers them. They are hostile and secret.
#ifndef TOKENWATCH_AGENT_CAPTURE_SEGMENT_H_
#define TOKENWATCH_AGENT_CAPTURE_SEGMENT_H_

#include <linux/types.h>

#include <cstdint>
#include <string_view>
#include <variant>

extern "C" {
#include "bpf/segment.h"
}
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tokenwatch {

// A header block's bytes with where they came from.
struct DataSegment {
  tw_data meta;
  std::string_view bytes;
};

// Pointers, because a tw_process is some 5 KiB; valid as long as the ring buffer's record is.
using Segment =
    std::variant<DataSegment, tw_peer, tw_close, tw_gap, const tw_process*, tw_exit, tw_tls>;

// Checks one ring buffer record and returns it as a Segment that points into `record`.
// InvalidArgument where type, version or length do not fit.
absl::StatusOr<Segment> ParseSegment(absl::Span<const uint8_t> record);

using SegmentHandler = absl::FunctionRef<void(const Segment&)>;

// Where segments come from: the kernel (Capture) or a recording (tests/replay).
class SegmentSource {
 public:
  virtual ~SegmentSource() = default;
  // Delivers what is there, waiting up to `timeout_ms` for the first. Returns their number.
  virtual absl::StatusOr<int> Poll(int timeout_ms, SegmentHandler handler) = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_SEGMENT_H_
