#include "agent/http/block_assembler.h"

#include <algorithm>
#include <iterator>

#include "absl/types/span.h"
#include "agent/http/connection.h"
#include "agent/http/message.h"

namespace tokenwatch {
namespace {

// Holes of one block that are remembered; what follows the last is not kept.
constexpr size_t kMaxHoles = 64;

bool Starts(const tw_data& meta) { return (meta.flags & TW_BLOCK_START) != 0; }
bool Ends(const tw_data& meta) { return (meta.flags & TW_BLOCK_END) != 0; }
bool IsCut(const tw_data& meta) { return (meta.flags & TW_CUT) != 0; }

void AddHole(UnfinishedBlock& block) {
  if (block.holes.empty() || block.holes.back() != block.bytes.size()) {
    block.holes.push_back(block.bytes.size());
  }
}

bool Continues(const UnfinishedBlock& block, const tw_data& meta) {
  return !Starts(meta) && block.first.message == meta.message &&
         IsResponse(block.first) == IsResponse(meta) && IsHttp2(block.first) == IsHttp2(meta) &&
         IsBody(block.first) == IsBody(meta);
}

}  // namespace

void BlockAssembler::Add(Connection& connection, const DataSegment& data) {
  const tw_data& meta = data.meta;
  BlockStream& stream = connection.streams[meta.direction];
  const Order order = TakeSequence(meta, stream);
  if (order == Order::kRepeated) return;

  if (order == Order::kAfterHole && IsHttp2(meta)) {
    if (stream.block != nullptr) GiveUp(*stream.block);
    http2_->OnMissing(connection, meta.direction);
    http2_bodies_->OnMissing(connection, meta.direction);
  }
  if (IsHttp2(meta) && IsBody(meta)) {
    http2_bodies_->Add(connection, data);
    return;
  }
  // An answer to a later request proves that this one was sent to its end.
  const BlockStream& opposite = connection.streams[meta.direction ^ 1U];
  if (!IsHttp2(meta) && Starts(meta) && IsResponse(meta) && opposite.block != nullptr &&
      !IsResponse(opposite.block->first) && IsBefore(opposite.block->first.message, meta.message)) {
    GiveUp(*opposite.block);
  }
  if (stream.block != nullptr && !Continues(*stream.block, meta)) GiveUp(*stream.block);
  if (Starts(meta)) {
    Begin(connection, data);
  } else {
    Continue(connection, data, order == Order::kAfterHole);
  }
}

BlockAssembler::Order BlockAssembler::TakeSequence(const tw_data& meta, BlockStream& stream) {
  const uint32_t skipped = meta.sequence - stream.next_sequence;
  if (stream.seen && static_cast<int32_t>(skipped) < 0) {
    context_->counters.Add(ReaderCount::kPiecesRepeated);
    return Order::kRepeated;
  }
  if (skipped != 0) {
    context_->counters.Add(ReaderCount::kHoles);
    context_->counters.Add(stream.seen ? ReaderCount::kPiecesLost : ReaderCount::kPiecesBeforeSight,
                           skipped);
  }
  stream.next_sequence = meta.sequence + 1;
  stream.seen = true;
  return skipped == 0 ? Order::kNext : Order::kAfterHole;
}

void BlockAssembler::Begin(Connection& connection, const DataSegment& data) {
  SinkOf(data.meta).OnBlockStart(connection, data.meta);
  const size_t size = data.bytes.size();
  if (Ends(data.meta) && size <= context_->limits.block_bytes) {
    SinkOf(data.meta).OnBlock(connection, data.meta,
                              {data.bytes, IsCut(data.meta) ? absl::MakeConstSpan(&size, 1)
                                                            : absl::Span<const size_t>()});
    return;
  }
  MakeRoom(size);
  UnfinishedBlock& block = blocks_.emplace_back();
  block.connection = &connection;
  block.self = std::prev(blocks_.end());
  block.first = data.meta;
  block.since = context_->clock;
  if (!IsResponse(data.meta)) ++requests_;
  connection.streams[data.meta.direction].block = &block;
  Append(block, data);
}

void BlockAssembler::Continue(Connection& connection, const DataSegment& data, bool after_hole) {
  MakeRoom(data.bytes.size());
  const BlockStream& stream = connection.streams[data.meta.direction];
  if (stream.block == nullptr) {
    context_->counters.Add(ReaderCount::kPiecesOrphaned);
    if (IsHttp2(data.meta)) http2_->OnMissing(connection, data.meta.direction);
    return;
  }
  if (after_hole) AddHole(*stream.block);
  Append(*stream.block, data);
}

BlockSink& BlockAssembler::SinkOf(const tw_data& meta) {
  if (IsBody(meta)) return *bodies_;
  return IsHttp2(meta) ? *http2_ : *http1_;
}

void BlockAssembler::Append(UnfinishedBlock& block, const DataSegment& data) {
  if (block.holes.size() < kMaxHoles) {
    const size_t room = context_->limits.block_bytes - block.bytes.size();
    const std::string_view kept = data.bytes.substr(0, std::min(room, data.bytes.size()));
    block.bytes.Append(kept);
    bytes_ += kept.size();
    if (kept.size() < data.bytes.size()) {
      AddHole(block);
      if (!block.overlong) context_->counters.Add(ReaderCount::kBlocksOverLimit);
      block.overlong = true;
    }
    if (IsCut(data.meta)) AddHole(block);
  }
  if (Ends(data.meta)) Deliver(block);
}

void BlockAssembler::MakeRoom(size_t bytes) {
  while (!blocks_.empty() && bytes_ + bytes > context_->limits.assembly_bytes) {
    context_->counters.Add(ReaderCount::kAssemblyOverLimit);
    GiveUp(blocks_.front());
  }
}

std::list<UnfinishedBlock> BlockAssembler::Take(UnfinishedBlock& block) {
  block.connection->streams[block.first.direction].block = nullptr;
  bytes_ -= block.bytes.size();
  if (!IsResponse(block.first)) --requests_;
  std::list<UnfinishedBlock> taken;
  taken.splice(taken.begin(), blocks_, block.self);
  return taken;
}

void BlockAssembler::Deliver(UnfinishedBlock& block) {
  const std::list<UnfinishedBlock> taken = Take(block);
  SinkOf(block.first).OnBlock(*block.connection, block.first, {block.bytes.view(), block.holes});
}

void BlockAssembler::GiveUp(UnfinishedBlock& block) {
  AddHole(block);
  Deliver(block);
}

void BlockAssembler::GiveUpRequests(Connection& connection) {
  for (const BlockStream& stream : connection.streams) {
    if (stream.block != nullptr && !IsResponse(stream.block->first)) GiveUp(*stream.block);
  }
}

void BlockAssembler::GiveUpAll(Connection& connection) {
  GiveUpRequests(connection);
  for (const BlockStream& stream : connection.streams) {
    if (stream.block != nullptr) GiveUp(*stream.block);
  }
}

void BlockAssembler::GiveUp(Connection& connection, uint8_t direction) {
  const BlockStream& stream = connection.streams[direction];
  if (stream.block != nullptr) GiveUp(*stream.block);
}

void BlockAssembler::DiscardLate(Connection& connection) {
  for (const BlockStream& stream : connection.streams) {
    if (stream.block != nullptr && !IsResponse(stream.block->first) &&
        (stream.block->first.flags & TW_LATE) != 0) {
      Take(*stream.block);
    }
  }
}

void BlockAssembler::Sweep() {
  while (!blocks_.empty() &&
         context_->IsDue(blocks_.front().since, context_->limits.block_age_ns)) {
    context_->counters.Add(ReaderCount::kBlocksExpired);
    GiveUp(blocks_.front());
  }
}

UnfinishedRequests BlockAssembler::Unfinished() const {
  if (requests_ == 0) return {};
  const auto first = std::find_if(blocks_.begin(), blocks_.end(), [](const UnfinishedBlock& block) {
    return !IsResponse(block.first);
  });
  return {requests_, first->first.h.mono_ns};
}

}  // namespace tokenwatch
