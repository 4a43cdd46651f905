// HTTP/2 frames (RFC 9113, 4 and 6), as far as the agent reads them.
#ifndef TOKENWATCH_AGENT_HTTP_HTTP2_FRAME_H_
#define TOKENWATCH_AGENT_HTTP_HTTP2_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "agent/http/block_sink.h"

namespace tokenwatch {

enum class Http2FrameType : uint8_t {
  kHeaders = 1,
  kReset = 3,
  kSettings = 4,
  kPromise = 5,
  kGoAway = 7,
  kContinuation = 9,
};

struct Http2Frame {
  Http2FrameType type{};
  uint8_t flags = 0;
  uint32_t stream = 0;
  uint32_t length = 0;       // of the whole payload
  std::string_view payload;  // up to the first byte that is missing
  bool is_cut = false;       // some of it is missing

  bool EndsStream() const { return (flags & 0x1) != 0; }   // HEADERS
  bool EndsHeaders() const { return (flags & 0x4) != 0; }  // HEADERS, PUSH_PROMISE, CONTINUATION
};

// A frame with its nine-byte header. Nothing where that is not whole. Bytes behind the frame's
// length are left out.
std::optional<Http2Frame> ParseHttp2Frame(const HeaderBlock& block);

// The part of a header block that a HEADERS, PUSH_PROMISE or CONTINUATION frame carries, as far as
// it is there. Nothing where padding and fixed fields do not fit the frame (RFC 9113, 6.2).
std::optional<std::string_view> HeaderFragment(const Http2Frame& frame);

// A 32-bit number without its first bit; nothing where `payload` is too short.
std::optional<uint32_t> Uint31At(std::string_view payload, size_t at);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_HTTP2_FRAME_H_
