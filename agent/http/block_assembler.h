// Puts blocks, which are HTTP/1 header blocks or bodies or HTTP/2 frames, together from their
// pieces. Those of HTTP/2 bodies, of which several are open at once, go to Http2Bodies.
//
// A block whose one piece has all of it is handed on where it lies. Other pieces are copied into a
// buffer that is wiped when the block ends. Missing pieces show as jumps of the sequence and become
// holes of the block that was in the making; one of HTTP/2 ends there.
#ifndef TOKENWATCH_AGENT_HTTP_BLOCK_ASSEMBLER_H_
#define TOKENWATCH_AGENT_HTTP_BLOCK_ASSEMBLER_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "agent/capture/segment.h"
#include "agent/common/secret_buffer.h"
#include "agent/http/block_sink.h"
#include "agent/http/http2_bodies.h"
#include "agent/http/reader_context.h"

namespace tokenwatch {

struct Connection;

// A block of which pieces are still to come.
struct UnfinishedBlock {
  Connection* connection = nullptr;
  std::list<UnfinishedBlock>::iterator self;
  tw_data first;  // of its first piece
  SecretBuffer bytes;
  absl::InlinedVector<size_t, 2> holes;  // as in HeaderBlock
  uint64_t since = 0;                    // ReaderContext::clock when it began
  bool overlong = false;                 // bytes past ReaderLimits::block_bytes were dropped
};

// The assembler's part of one direction of a connection.
struct BlockStream {
  uint32_t next_sequence = 0;
  bool seen = false;
  UnfinishedBlock* block = nullptr;
};

// Not thread safe.
class BlockAssembler {
 public:
  // All must outlive the assembler.
  BlockAssembler(BlockSink* http1, BlockSink* http2, BlockSink* bodies, Http2Bodies* http2_bodies,
                 ReaderContext* context)
      : http1_(http1),
        http2_(http2),
        bodies_(bodies),
        http2_bodies_(http2_bodies),
        context_(context) {}
  BlockAssembler(const BlockAssembler&) = delete;
  BlockAssembler& operator=(const BlockAssembler&) = delete;

  // Takes a piece of `connection`; its direction must be valid.
  void Add(Connection& connection, const DataSegment& data);

  // Hands on what is known of the connection's unfinished blocks: requests first, so that an answer
  // finds its request.
  void GiveUpRequests(Connection& connection);
  void GiveUpAll(Connection& connection);
  // Likewise, of one direction.
  void GiveUp(Connection& connection, uint8_t direction);
  // Drops an unfinished request that a late sighting began.
  void DiscardLate(Connection& connection);
  // Gives up what is older than ReaderLimits::block_age_ns.
  void Sweep();

  UnfinishedRequests Unfinished() const;

 private:
  // What the sequence says of a piece.
  enum class Order { kNext, kAfterHole, kRepeated };
  Order TakeSequence(const tw_data& meta, BlockStream& stream);

  void Begin(Connection& connection, const DataSegment& data);
  void Continue(Connection& connection, const DataSegment& data, bool after_hole);
  void Append(UnfinishedBlock& block, const DataSegment& data);
  // Gives up the oldest blocks until `bytes` more are within the limit.
  void MakeRoom(size_t bytes);
  // Takes a block out of its connection. The list's one element keeps, and then wipes, its bytes.
  std::list<UnfinishedBlock> Take(UnfinishedBlock& block);
  void Deliver(UnfinishedBlock& block);
  // Delivers with a hole at the end.
  void GiveUp(UnfinishedBlock& block);

  BlockSink& SinkOf(const tw_data& meta);

  BlockSink* const http1_;
  BlockSink* const http2_;
  BlockSink* const bodies_;
  Http2Bodies* const http2_bodies_;
  ReaderContext* const context_;
  std::list<UnfinishedBlock> blocks_;  // oldest first
  size_t bytes_ = 0;                   // in blocks_
  size_t requests_ = 0;                // of blocks_
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_BLOCK_ASSEMBLER_H_
