#include "agent/http/http2_frame.h"

#include <algorithm>

namespace tokenwatch {
namespace {

constexpr size_t kHeaderBytes = 9;
constexpr uint8_t kPadded = 0x8;
constexpr uint8_t kPriority = 0x20;

uint32_t ByteAt(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

}  // namespace

std::optional<uint32_t> Uint31At(std::string_view payload, size_t at) {
  if (payload.size() < at + 4) return std::nullopt;
  return (ByteAt(payload, at) & 0x7f) << 24 | ByteAt(payload, at + 1) << 16 |
         ByteAt(payload, at + 2) << 8 | ByteAt(payload, at + 3);
}

std::optional<Http2Frame> ParseHttp2Frame(const HeaderBlock& block) {
  const std::string_view bytes =
      block.bytes.substr(0, block.holes.empty() ? block.bytes.size() : block.holes.front());
  if (bytes.size() < kHeaderBytes) return std::nullopt;
  Http2Frame frame;
  frame.length = ByteAt(bytes, 0) << 16 | ByteAt(bytes, 1) << 8 | ByteAt(bytes, 2);
  frame.type = static_cast<Http2FrameType>(bytes[3]);
  frame.flags = static_cast<uint8_t>(bytes[4]);
  frame.stream = Uint31At(bytes, 5).value_or(0);
  frame.payload = bytes.substr(kHeaderBytes, frame.length);
  frame.is_cut = frame.payload.size() < frame.length;
  return frame;
}

std::optional<std::string_view> HeaderFragment(const Http2Frame& frame) {
  const bool is_headers = frame.type == Http2FrameType::kHeaders;
  const bool is_promise = frame.type == Http2FrameType::kPromise;
  size_t before = 0;
  size_t padding = 0;
  if ((is_headers || is_promise) && (frame.flags & kPadded) != 0) {
    before = 1;
    if (!frame.payload.empty()) padding = ByteAt(frame.payload, 0);
  }
  if (is_headers && (frame.flags & kPriority) != 0) before += 5;
  if (is_promise) before += 4;
  if (before + padding > frame.length) return std::nullopt;
  const size_t size = frame.length - before - padding;
  return frame.payload.substr(std::min(before, frame.payload.size()), size);
}

}  // namespace tokenwatch
