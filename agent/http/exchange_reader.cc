#include "agent/http/exchange_reader.h"

#include <algorithm>
#include <iterator>
#include <variant>

#include "agent/http/gap.h"
#include "agent/http/message.h"
#include "agent/http/peer.h"

namespace tokenwatch {
namespace {

// Of a connection's HPACK tables, about: what most peers let them grow to (RFC 9113, 6.5.2).
constexpr size_t kTableBytes = 2 * 4096;

}  // namespace

ExchangeReader::ExchangeReader(ExchangeSink* sink, const ReaderLimits& limits)
    : context_{limits},
      exchanges_(sink, &context_),
      pairer_(&exchanges_, &context_),
      http2_bodies_(sink, &exchanges_, &context_),
      streams_(&exchanges_, &http2_bodies_, &context_),
      http2_(&streams_, &context_),
      bodies_(sink, &exchanges_, &context_),
      assembler_(&pairer_, &http2_, &bodies_, &http2_bodies_, &context_) {}

void ExchangeReader::OnSegment(const Segment& segment) {
  context_.counters.Add(ReaderCount::kSegments);
  const auto tell_time = [&](const tw_header& header) {
    context_.clock = std::max<uint64_t>(context_.clock, header.mono_ns);
  };
  if (const auto* data = std::get_if<DataSegment>(&segment)) {
    tell_time(data->meta.h);
    OnData(*data);
  } else if (const auto* peer = std::get_if<tw_peer>(&segment)) {
    tell_time(peer->h);
    OnPeer(*peer);
  } else if (const auto* close = std::get_if<tw_close>(&segment)) {
    tell_time(close->h);
    OnClose(*close);
  } else if (const auto* gap = std::get_if<tw_gap>(&segment)) {
    tell_time(gap->h);
    OnGap(*gap);
  } else if (const auto* exit = std::get_if<tw_exit>(&segment)) {
    tell_time(exit->h);
    OnExit(*exit);
  }
}

void ExchangeReader::OnData(const DataSegment& data) {
  const tw_data& meta = data.meta;
  if (meta.direction > TW_RECEIVED) {
    context_.counters.Add(ReaderCount::kSegmentsInvalid);
    return;
  }
  Connection& connection = Use(meta.connection);
  connection.process = meta.process;
  if ((meta.flags & TW_BLOCK_START) != 0 && !IsResponse(meta)) SetClosing(connection, false);
  assembler_.Add(connection, data);
}

void ExchangeReader::OnPeer(const tw_peer& peer) {
  UpdatePeer(peer, &Use(peer.connection).exchanges.peer);
}

void ExchangeReader::OnClose(const tw_close& close) {
  Connection* connection = Find(close.connection);
  if (connection == nullptr) return;
  if (close.is_final != 0) {
    Forget(by_id_.find(close.connection)->second, kGrpcUnknown);
    return;
  }
  connection->last = context_.clock;
  SetClosing(*connection, true);
}

void ExchangeReader::OnGap(const tw_gap& gap) {
  context_.counters.AddGap(gap.reason);
  Connection* connection = Find(gap.connection);
  if (connection == nullptr) return;
  if (connection->http2 != nullptr) {
    OnHttp2Gap(*connection, gap);
    return;
  }
  switch (GapReasonOf(gap.reason).effect) {
    case GapEffect::kNone:
      break;
    case GapEffect::kUnanswered:
      EndAll(*connection);
      break;
    case GapEffect::kDiscardsLate:
      assembler_.DiscardLate(*connection);
      exchanges_.DiscardLate(*connection);
      break;
  }
}

void ExchangeReader::OnHttp2Gap(Connection& connection, const tw_gap& gap) {
  // Framing may be found again, and streams tell late answers apart: nothing ends here.
  for (const uint8_t direction : {TW_SENT, TW_RECEIVED}) {
    if (gap.reason == TW_GAP_LOST_FRAMING && gap.direction != direction) continue;
    assembler_.GiveUp(connection, direction);
    http2_.OnMissing(connection, direction);
  }
  // But the kernel side has forgotten whose bodies it was asked for.
  http2_bodies_.GiveUpAll(connection);
}

void ExchangeReader::OnExit(const tw_exit& exit) {
  http2_.heirs().DropProcess(exit.pid);
  if (connections_.empty()) return;
  if (exits_.size() >= context_.limits.exits) {
    context_.counters.Add(ReaderCount::kExitsOverLimit);
    return;
  }
  exits_.try_emplace(exit.process, context_.clock);
}

Connection* ExchangeReader::Find(uint64_t id) {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &*found->second;
}

Connection& ExchangeReader::Use(uint64_t id) {
  const auto found = by_id_.find(id);
  if (found != by_id_.end()) {
    connections_.splice(connections_.end(), connections_, found->second);
  } else {
    while (!connections_.empty() && connections_.size() >= context_.limits.connections) {
      context_.counters.Add(ReaderCount::kConnectionsOverLimit);
      Forget(connections_.begin());
    }
    connections_.emplace_back().id = id;
    by_id_.emplace(id, std::prev(connections_.end()));
  }
  connections_.back().last = context_.clock;
  return connections_.back();
}

void ExchangeReader::EndAll(Connection& connection, std::optional<int> grpc_status) {
  assembler_.GiveUpAll(connection);
  http2_.GiveUpAll(connection);
  http2_bodies_.GiveUpAll(connection);
  pairer_.DropHeld(connection);
  exchanges_.GiveUpAll(connection, grpc_status);
}

ExchangeReader::Connections::iterator ExchangeReader::Forget(Connections::iterator connection,
                                                             std::optional<int> grpc_status) {
  EndAll(*connection, grpc_status);
  SetClosing(*connection, false);
  by_id_.erase(connection->id);
  return connections_.erase(connection);
}

void ExchangeReader::SetClosing(Connection& connection, bool closing) {
  if (connection.closing == closing) return;
  connection.closing = closing;
  closing ? ++closing_ : --closing_;
}

void ExchangeReader::Sweep(uint64_t now_mono_ns) {
  context_.clock = std::max(context_.clock, now_mono_ns);
  exchanges_.Sweep();
  assembler_.Sweep();
  http2_.Sweep();
  http2_bodies_.Sweep();
  http2_.Seal();
  for (Connection* connection : pairer_.OverdueHeld()) {
    assembler_.GiveUpRequests(*connection);
    pairer_.DropHeld(*connection);
  }
  // Every connection is looked at, so not at every call.
  if ((closing_ != 0 || !exits_.empty()) && context_.IsDue(swept_, context_.limits.grace_ns / 8)) {
    SweepConnections();
  }
}

void ExchangeReader::SweepConnections() {
  const uint64_t grace = context_.limits.grace_ns;
  swept_ = context_.clock;
  for (auto connection = connections_.begin(); connection != connections_.end();) {
    const auto exit = exits_.find(connection->process);
    const bool exited = exit != exits_.end() && context_.IsDue(exit->second, grace);
    const bool closed = connection->closing && context_.IsDue(connection->last, grace);
    connection = exited || closed ? Forget(connection, kGrpcUnknown) : std::next(connection);
  }
  absl::erase_if(exits_, [&](const auto& exit) { return context_.IsDue(exit.second, grace); });
}

void ExchangeReader::ExportTables(size_t limit, SecretBuffer* out) {
  // Newest last, as HpackHeirs::Offer wants them.
  size_t bytes = 0;
  auto from = connections_.end();
  while (from != connections_.begin() && bytes < limit) {
    --from;
    if (from->http2 != nullptr) bytes += kTableBytes;
  }
  for (; from != connections_.end(); ++from) {
    if (from->http2 == nullptr) continue;
    for (const uint8_t direction : {TW_SENT, TW_RECEIVED}) {
      http2_.Export(*from, direction, out);
    }
  }
  http2_.Seal();
}

UnfinishedRequests ExchangeReader::Unfinished() const {
  const UnfinishedRequests pieces = assembler_.Unfinished();
  const UnfinishedRequests frames = http2_.Unfinished();
  if (pieces.count == 0 || frames.count == 0) return pieces.count == 0 ? frames : pieces;
  return {pieces.count + frames.count, std::min(pieces.since_mono_ns, frames.since_mono_ns)};
}

void ExchangeReader::Finish() {
  while (!connections_.empty()) Forget(connections_.begin());
}

}  // namespace tokenwatch
