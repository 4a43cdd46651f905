#include "agent/http/http2_headers.h"

#include <iterator>
#include <memory>
#include <optional>

#include "agent/http/connection.h"
#include "agent/http/message.h"

namespace tokenwatch {

void Http2Headers::OnBlockStart(Connection& connection, const tw_data& first) {
  if (connection.http2 == nullptr) connection.http2 = std::make_unique<Http2Connection>(&memory_);
  Http2Connection& http2 = *connection.http2;
  if (http2.tag == 0 && (first.flags & TW_LATE) == 0) heirs_.Drop(first.pid, first.tag);
  http2.pid = first.pid;
  http2.tag = first.tag;
  if ((first.flags & TW_LATE) == 0 || http2.is_late) return;
  http2.is_late = true;
  for (HpackInflater& inflater : connection.http2->inflaters) inflater.Forget();
}

void Http2Headers::OnBlock(Connection& connection, const tw_data& first, const HeaderBlock& block) {
  context_->counters.Add(ReaderCount::kHttp2Frames);
  const std::optional<Http2Frame> frame = ParseHttp2Frame(block);
  if (!frame.has_value()) {
    context_->counters.Add(ReaderCount::kHttp2FramesInvalid);
    OnMissing(connection, first.direction);
    return;
  }
  const bool is_cut = frame->is_cut || !block.holes.empty();
  if (is_cut) context_->counters.Add(ReaderCount::kBlocksCut);
  // RFC 9113, 6.10: nothing comes between the frames of a header block.
  OpenHeaders* const open = connection.http2->headers[first.direction];
  if (open != nullptr &&
      (frame->type != Http2FrameType::kContinuation || frame->stream != open->stream)) {
    context_->counters.Add(ReaderCount::kHttp2FramesInvalid);
    Close(*open, true);
  }
  switch (frame->type) {
    case Http2FrameType::kHeaders:
    case Http2FrameType::kPromise:
      OnHeaders(connection, first, *frame);
      break;
    case Http2FrameType::kContinuation:
      OnContinuation(connection, first, *frame);
      break;
    case Http2FrameType::kReset:
      context_->counters.Add(ReaderCount::kHttp2Resets);
      streams_->OnReset(connection, frame->stream);
      break;
    case Http2FrameType::kGoAway:
      if (const std::optional<uint32_t> last = Uint31At(frame->payload, 0);
          last.has_value() && IsResponse(first)) {
        streams_->OnGoAway(connection, *last);
      }
      break;
    case Http2FrameType::kSettings:  // a block says itself which table size its sender uses
    default:
      break;
  }
  // What is missing may have been more than this frame's end.
  if (is_cut) OnMissing(connection, first.direction);
}

void Http2Headers::OnMissing(Connection& connection, uint8_t direction) {
  if (connection.http2 == nullptr) {
    connection.http2 = std::make_unique<Http2Connection>(&memory_);
  }
  Http2Connection& http2 = *connection.http2;
  if (http2.headers[direction] != nullptr) Close(*http2.headers[direction], true);
  context_->counters.Add(ReaderCount::kHpackTablesLost);
  http2.inflaters[direction].Forget();
  http2.tracks[direction] = HpackTrack();
  http2.tracks[direction].position = UINT32_MAX;
}

void Http2Headers::OnHeaders(Connection& connection, const tw_data& first,
                             const Http2Frame& frame) {
  const bool is_promise = frame.type == Http2FrameType::kPromise;
  const std::optional<std::string_view> fragment = HeaderFragment(frame);
  if (!fragment.has_value()) {
    context_->counters.Add(ReaderCount::kHttp2FramesInvalid);
    OnMissing(connection, first.direction);
    return;
  }
  if (frame.EndsHeaders() || frame.is_cut) {
    Decode(connection, first, frame.stream, is_promise, frame.EndsStream(), *fragment,
           frame.is_cut);
    return;
  }
  Append(Open(connection, first, frame), *fragment);
}

void Http2Headers::OnContinuation(Connection& connection, const tw_data& first,
                                  const Http2Frame& frame) {
  OpenHeaders* const open = connection.http2->headers[first.direction];
  if (open == nullptr) {
    // Its block was cut or given up, or was not seen.
    context_->counters.Add(ReaderCount::kPiecesOrphaned);
    OnMissing(connection, first.direction);
    return;
  }
  const bool fits = open->bytes.size() + frame.payload.size() <= context_->limits.block_bytes;
  if (!fits) {
    context_->counters.Add(ReaderCount::kBlocksOverLimit);
    Close(*open, true);
    return;
  }
  Append(*open, frame.payload);
  // Append may have given it up.
  OpenHeaders* const left = connection.http2->headers[first.direction];
  if (left != nullptr && (frame.EndsHeaders() || frame.is_cut)) Close(*left, frame.is_cut);
}

OpenHeaders& Http2Headers::Open(Connection& connection, const tw_data& first,
                                const Http2Frame& frame) {
  OpenHeaders& headers = open_.emplace_back();
  headers.connection = &connection;
  headers.self = std::prev(open_.end());
  headers.first = first;
  headers.stream = frame.stream;
  headers.is_promise = frame.type == Http2FrameType::kPromise;
  headers.ends_stream = frame.EndsStream();
  headers.since = context_->clock;
  connection.http2->headers[first.direction] = &headers;
  return headers;
}

void Http2Headers::Append(OpenHeaders& headers, std::string_view fragment) {
  headers.bytes.Append(fragment);
  bytes_ += fragment.size();
  while (bytes_ > context_->limits.assembly_bytes) {
    context_->counters.Add(ReaderCount::kAssemblyOverLimit);
    Close(open_.front(), true);
  }
}

void Http2Headers::Decode(Connection& connection, const tw_data& first, uint32_t stream,
                          bool is_promise, bool ends_stream, std::string_view block, bool is_cut) {
  Http2Connection& http2 = *connection.http2;
  HpackInflater& inflater = http2.inflaters[first.direction];
  HpackTrack& track = http2.tracks[first.direction];
  const bool is_response = IsResponse(first);
  const bool may_inherit = http2.is_late && !heirs_.empty();
  if (may_inherit) {
    heirs_.BeforeBlock(http2.pid, http2.tag, is_response, stream, http2.tracks[1 - first.direction],
                       &track, &inflater);
  }
  fields_.Clear();
  const bool is_decoded = inflater.Decode(block, is_cut, &fields_);
  const bool is_whole = is_decoded && !fields_.Overflowed();
  http2.is_response[first.direction] = is_response;
  const bool is_trailer = !is_response && stream < http2.newest_request;
  if (is_decoded && !is_promise && !is_trailer) {
    heirs_.Note(is_response ? stream * 2 + (ends_stream ? 1 : 0) : stream,
                http2.is_late ? block : std::string_view(), &track);
    if (may_inherit) {
      heirs_.AfterBlock(http2.pid, http2.tag, is_response, track, &inflater);
    }
  } else {
    // No place that could be told to another agent, or by which one could be found.
    track = HpackTrack();
    track.position = UINT32_MAX;
  }
  // A promised request is the server's own; only its block's effect on the table matters.
  if (!is_promise) {
    tw_data meta = first;
    meta.message = stream;
    streams_->OnHeaders(connection, meta, {&fields_, ends_stream, !is_whole});
  }
  fields_.Clear();
}

void Http2Headers::Close(OpenHeaders& headers, bool is_cut) {
  std::list<OpenHeaders> taken;
  taken.splice(taken.begin(), open_, headers.self);
  bytes_ -= headers.bytes.size();
  headers.connection->http2->headers[headers.first.direction] = nullptr;
  Decode(*headers.connection, headers.first, headers.stream, headers.is_promise,
         headers.ends_stream, headers.bytes.view(), is_cut);
}

void Http2Headers::Export(const Connection& connection, uint8_t direction, SecretBuffer* out) {
  Http2Connection& http2 = *connection.http2;
  const HpackTrack& track = http2.tracks[direction];
  if (track.position == 0 || track.position == UINT32_MAX || http2.headers[direction] != nullptr) {
    return;
  }
  HpackTable table;
  table.head.pid = http2.pid;
  table.head.tag = http2.tag;
  table.head.position = track.position;
  table.head.newest_request = http2.newest_request;
  table.head.is_response = http2.is_response[direction] ? 1 : 0;
  table.head.is_idle = connection.exchanges.pending.empty() ? 1 : 0;
  SecretBuffer entries;
  HpackInflater& inflater = http2.inflaters[direction];
  if (!inflater.Export(&entries, &table.head.unknown, &table.head.max_bytes)) return;
  table.entries = entries.view();
  AppendTable(table, out);
}

void Http2Headers::GiveUpAll(Connection& connection) {
  if (connection.http2 == nullptr) return;
  for (const uint8_t direction : {TW_SENT, TW_RECEIVED}) {
    OpenHeaders* const open = connection.http2->headers[direction];
    if (open != nullptr) Close(*open, true);
  }
}

void Http2Headers::Sweep() {
  while (!open_.empty() && context_->IsDue(open_.front().since, context_->limits.block_age_ns)) {
    context_->counters.Add(ReaderCount::kBlocksExpired);
    Close(open_.front(), true);
  }
}

}  // namespace tokenwatch
