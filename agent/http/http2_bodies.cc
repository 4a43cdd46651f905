#include "agent/http/http2_bodies.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "agent/http/connection.h"
#include "agent/http/message.h"

namespace tokenwatch {

void Http2Bodies::Add(Connection& connection, const DataSegment& data) {
  const tw_data& meta = data.meta;
  const bool answer = IsResponse(meta);
  const bool starts = (meta.flags & TW_BLOCK_START) != 0;
  const bool ends = (meta.flags & TW_BLOCK_END) != 0;
  BodyStream* stream = Find(connection, meta.message);
  // A stream whose pieces begin anew is another one under an old number.
  if (stream != nullptr && starts && stream->bodies[answer ? 1 : 0].begun) {
    Close(*stream);
    stream = nullptr;
  }
  if (stream == nullptr) {
    // Without its beginning, or on a connection whose frames are missing.
    if (!starts || connection.http2 == nullptr) {
      context_->counters.Add(ReaderCount::kPiecesOrphaned);
      return;
    }
    stream = &Open(connection, meta.message);
  }
  UnfinishedBody& body = stream->bodies[answer ? 1 : 0];
  if (!body.begun && !starts) body.complete = false;
  body.begun = true;
  body.direction = meta.direction;
  if (body.ended) {
    context_->counters.Add(ReaderCount::kPiecesOrphaned);
    return;
  }
  Append(body, data.bytes);
  if ((meta.flags & TW_CUT) != 0) body.complete = false;
  if (ends) {
    Deliver(*stream, answer);
    // An answer may be quicker than the request's body.
    const UnfinishedBody& other = stream->bodies[answer ? 0 : 1];
    if (other.ended || (answer && !other.begun)) Close(*stream);
    return;
  }
  while (bytes_ > context_->limits.assembly_bytes) {
    context_->counters.Add(ReaderCount::kAssemblyOverLimit);
    Close(streams_.front());
  }
}

BodyStream* Http2Bodies::Find(Connection& connection, uint32_t stream) {
  if (connection.http2 == nullptr) return nullptr;
  for (BodyStream* const known : connection.http2->bodies) {
    if (known->stream == stream) return known;
  }
  return nullptr;
}

BodyStream& Http2Bodies::Open(Connection& connection, uint32_t stream) {
  auto& of_connection = connection.http2->bodies;
  // The kernel side follows no more than these, so the oldest will not go on.
  if (of_connection.size() >= TW_BODY_STREAMS) Close(*of_connection.front());
  if (streams_.size() >= context_->limits.pending) {
    context_->counters.Add(ReaderCount::kAssemblyOverLimit);
    Close(streams_.front());
  }
  BodyStream& made = streams_.emplace_back();
  made.connection = &connection;
  made.self = std::prev(streams_.end());
  made.stream = stream;
  made.since = context_->clock;
  const EndedExchange& ended = connection.exchanges.ended;
  uint32_t& newest = connection.http2->newest_body;
  // Streams are numbered upwards: what is no newer had its bodies handed on, or is not known.
  if (stream <= newest) {
    made.exchange = 0;
  } else if (const PendingExchange* const pending = exchanges_->Find(connection, stream)) {
    made.exchange = pending->exchange;
  } else if (ended.exchange != 0 && ended.message == stream) {
    made.exchange = ended.exchange;
  }
  newest = std::max(newest, stream);
  of_connection.push_back(&made);
  return made;
}

void Http2Bodies::Append(UnfinishedBody& body, std::string_view bytes) {
  const std::string_view kept =
      bytes.substr(0, std::min(bytes.size(), TW_BODY_MAX - body.bytes.size()));
  if (kept.size() < bytes.size()) body.complete = false;
  body.bytes.Append(kept);
  bytes_ += kept.size();
}

void Http2Bodies::Deliver(BodyStream& stream, bool answer) {
  UnfinishedBody& unfinished = stream.bodies[answer ? 1 : 0];
  unfinished.ended = true;
  bytes_ -= unfinished.bytes.size();
  const SecretBuffer bytes = std::exchange(unfinished.bytes, SecretBuffer());
  // A request without a body, or of whose body nothing came.
  if (!answer && bytes.empty()) return;
  if (stream.exchange == 0) {
    context_->counters.Add(ReaderCount::kBodiesOrphaned);
    return;
  }
  Body body;
  body.exchange = stream.exchange;
  body.answer = answer;
  body.complete = unfinished.complete;
  body.bytes = bytes.view();
  context_->counters.Add(ReaderCount::kBodies);
  sink_->OnBody(body);
}

void Http2Bodies::Close(BodyStream& stream) {
  for (const bool answer : {false, true}) {
    UnfinishedBody& body = stream.bodies[answer ? 1 : 0];
    if (!body.begun || body.ended) continue;
    body.complete = false;
    Deliver(stream, answer);
  }
  auto& of_connection = stream.connection->http2->bodies;
  of_connection.erase(std::find(of_connection.begin(), of_connection.end(), &stream));
  streams_.erase(stream.self);
}

void Http2Bodies::OnMissing(Connection& connection, uint8_t direction) {
  if (connection.http2 == nullptr) return;
  for (BodyStream* const stream : connection.http2->bodies) {
    for (UnfinishedBody& body : stream->bodies) {
      if (body.begun && body.direction == direction) body.complete = false;
    }
  }
}

void Http2Bodies::GiveUp(Connection& connection, uint32_t stream) {
  if (BodyStream* const known = Find(connection, stream)) Close(*known);
}

void Http2Bodies::GiveUpAll(Connection& connection) {
  if (connection.http2 == nullptr) return;
  while (!connection.http2->bodies.empty()) Close(*connection.http2->bodies.front());
}

void Http2Bodies::Sweep() {
  while (!streams_.empty() &&
         context_->IsDue(streams_.front().since, context_->limits.answer_age_ns)) {
    Close(streams_.front());
  }
}

}  // namespace tokenwatch
