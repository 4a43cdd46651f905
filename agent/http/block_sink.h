// What BlockAssembler hands blocks to: HTTP/1 header blocks, or HTTP/2 frames.
#ifndef TOKENWATCH_AGENT_HTTP_BLOCK_SINK_H_
#define TOKENWATCH_AGENT_HTTP_BLOCK_SINK_H_

#include <cstddef>
#include <string_view>

#include "absl/types/span.h"
#include "agent/capture/segment.h"

namespace tokenwatch {

struct Connection;

// A block as far as it is known. Between bytes[h - 1] and bytes[h], for each h in `holes`
// (ascending, at most bytes.size()), an unknown number of bytes is missing.
struct HeaderBlock {
  std::string_view bytes;
  absl::Span<const size_t> holes;
};

class BlockSink {
 public:
  virtual ~BlockSink() = default;
  // A block begins with the piece `first`.
  virtual void OnBlockStart(Connection& connection, const tw_data& first) = 0;
  // The block that began with `first` has ended, if only because the rest of it will not come.
  // `block` is valid during the call.
  virtual void OnBlock(Connection& connection, const tw_data& first, const HeaderBlock& block) = 0;
  // Pieces of a direction (enum tw_direction) are missing that may have been in blocks of which
  // nothing was handed on.
  virtual void OnMissing(Connection& /*connection*/, uint8_t /*direction*/) {}
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_BLOCK_SINK_H_
