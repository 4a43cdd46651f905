#include "agent/http/http2_streams.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string_view>

#include "agent/common/text.h"
#include "agent/http/connection.h"
#include "agent/http/message.h"

namespace tokenwatch {
namespace {

constexpr size_t kMaxEarly = 32;  // of one connection
constexpr int kMaxGrpcStatus = 16;
// Fields whose memory is kept between blocks.
constexpr size_t kKeptFields = 64;

bool IsClientStream(uint32_t stream) { return stream % 2 == 1; }

bool IsGrpc(std::string_view content_type) {
  constexpr std::string_view kPrefix = "application/grpc";
  return EqualsIgnoreCase(content_type.substr(0, kPrefix.size()), kPrefix);
}

// Up to three digits; nothing where it is anything else.
std::optional<int> NumberIn(std::string_view value) {
  if (value.size() > 3 || !AllOf(value, [](unsigned char c) { return c >= '0' && c <= '9'; })) {
    return std::nullopt;
  }
  int number = 0;
  for (const char c : value) number = number * 10 + (c - '0');
  return number;
}

// RFC 9113, 8.3.2: three digits; 0 where it is none.
int StatusIn(std::string_view value) {
  const int status = NumberIn(value).value_or(0);
  return status >= 100 ? status : 0;
}

int GrpcStatusIn(std::string_view value) {
  const int status = NumberIn(value).value_or(kGrpcUnknown);
  return status <= kMaxGrpcStatus ? status : kGrpcUnknown;
}

}  // namespace

struct Http2Streams::Parsed {
  std::optional<std::string_view> method, path, authority, scheme, protocol, status;
  std::optional<std::string_view> content_type, grpc_status;
  uint32_t unknown = 0;  // fields without a name

  bool HasRequest() const { return method || path || authority || scheme; }
};

Http2Streams::Parsed Http2Streams::Parse(const Http2Block& block) {
  Parsed parsed;
  fields_.clear();
  if (fields_.capacity() > kKeptFields) fields_.shrink_to_fit();
  const struct {
    std::string_view name;
    std::optional<std::string_view>* value;
    bool is_pseudo;
  } known[] = {
      {":method", &parsed.method, true},
      {":path", &parsed.path, true},
      {":authority", &parsed.authority, true},
      {":scheme", &parsed.scheme, true},
      {":protocol", &parsed.protocol, true},
      {":status", &parsed.status, true},
      {"content-type", &parsed.content_type, false},
      {"grpc-status", &parsed.grpc_status, false},
  };
  fields_.push_back({"host", ""});
  for (size_t i = 0; i < block.fields->size(); ++i) {
    const HeaderField field = (*block.fields)[i];
    const auto* const row = std::find_if(std::begin(known), std::end(known), [&](const auto& one) {
      return EqualsIgnoreCase(one.name, field.name);
    });
    // The first of a kind counts, as for a server that lets a second one pass.
    if (row != std::end(known) && !row->value->has_value()) *row->value = field.value;
    if (field.name.empty()) ++parsed.unknown;
    if (!field.name.starts_with(':')) fields_.push_back({field.name, TrimBlanks(field.value)});
  }
  if (parsed.authority.has_value()) {
    fields_.front().value = *parsed.authority;
  } else {
    fields_.erase(fields_.begin());
  }
  context_->counters.Add(ReaderCount::kFieldsUnresolved, parsed.unknown);
  return parsed;
}

void Http2Streams::OnHeaders(Connection& connection, const tw_data& first,
                             const Http2Block& block) {
  if (IsResponse(first)) {
    OnAnswer(connection, first, block);
  } else {
    OnRequest(connection, first, block);
  }
  fields_.clear();
}

void Http2Streams::OnRequest(Connection& connection, const tw_data& first,
                             const Http2Block& block) {
  Http2Connection& http2 = *connection.http2;
  const Parsed parsed = Parse(block);
  if (first.message <= http2.newest_request) {
    // Trailers, or a stream used again, which no peer may do (RFC 9113, 5.1.1).
    if (parsed.HasRequest()) context_->counters.Add(ReaderCount::kOrdinalsReused);
    return;
  }
  if (!IsClientStream(first.message)) {
    context_->counters.Add(ReaderCount::kHttp2FramesInvalid);
    return;
  }
  http2.newest_request = first.message;
  // Without one of a request's fields it may be trailers whose request was lost; they end a stream.
  if (!parsed.HasRequest() && (block.is_cut || block.ends_stream || parsed.unknown == 0)) {
    context_->counters.Add(ReaderCount::kBlocksUnparsed);
    return;
  }
  RequestHead head;
  head.cut = block.is_cut;
  head.version_major = 2;
  head.version_minor = 0;
  head.unknown_fields = parsed.unknown;
  head.method = parsed.method.value_or("");
  // RFC 9113, 8.5: CONNECT has an authority only; RFC 8441, 4: with ":protocol" it has a path.
  const bool is_tunnel = head.method == "CONNECT" && !parsed.path.has_value();
  head.target = is_tunnel ? parsed.authority.value_or("") : parsed.path.value_or("");
  head.scheme = parsed.scheme.value_or("");
  if (block.is_cut) fields_.push_back({});
  head.fields = fields_;
  PendingExchange& pending =
      exchanges_->Begin(connection, first, context_->limits.streams_per_connection, &head);
  pending.is_grpc = IsGrpc(parsed.content_type.value_or(""));
  TakeEarly(http2, pending);
}

void Http2Streams::OnAnswer(Connection& connection, const tw_data& first, const Http2Block& block) {
  if (!IsClientStream(first.message)) return;  // to a promised request
  const Parsed parsed = Parse(block);
  const int status = StatusIn(parsed.status.value_or(""));
  if (status != 0 && status < 200) {
    context_->counters.Add(ReaderCount::kInterimAnswers);
    return;
  }
  PendingExchange* const pending = exchanges_->Find(connection, first.message);
  const bool is_grpc = parsed.content_type.has_value() ? IsGrpc(*parsed.content_type)
                                                       : pending != nullptr && pending->is_grpc;
  EarlyAnswer answer;
  answer.stream = first.message;
  answer.status = status;
  answer.ends = !is_grpc || block.ends_stream;
  answer.mono_ns = first.h.mono_ns;
  answer.since = context_->clock;
  if (parsed.grpc_status.has_value()) answer.grpc_status = GrpcStatusIn(*parsed.grpc_status);
  if (pending == nullptr) {
    if (first.message > connection.http2->newest_request) {
      HoldEarly(*connection.http2, answer);
    } else if (status != 0) {
      context_->counters.Add(ReaderCount::kAnswersWithoutRequest);
    }
    return;  // else trailers of an exchange that has ended
  }
  const bool may_be_missing = block.is_cut || parsed.unknown > 0;
  if (pending->status != 0) {
    // A gRPC answer's trailers.
    if (!block.ends_stream) return;
    if (!answer.grpc_status.has_value()) {
      if (may_be_missing) context_->counters.Add(ReaderCount::kGrpcStatusesUnresolved);
      exchanges_->GiveUp(*pending, may_be_missing ? std::nullopt : std::optional(kGrpcUnknown));
      return;
    }
  } else if (status == 0) {
    // The status is the table's unseen part, or the answer's first block was lost.
    context_->counters.Add(may_be_missing ? ReaderCount::kStatusesUnresolved
                                          : ReaderCount::kAnswersLost);
    exchanges_->GiveUp(*pending);
    return;
  } else {
    pending->status = status;
    pending->latency_ns = LatencyNs(*pending, answer.mono_ns);
    if (!answer.ends) return;
  }
  Answer ended;
  ended.kind = AnswerKind::kAnswered;
  ended.status = pending->status;
  ended.latency_ns = pending->latency_ns;
  ended.grpc_status = answer.grpc_status;
  ended.fields = fields_;
  exchanges_->End(*pending, ended);
}

void Http2Streams::HoldEarly(Http2Connection& http2, const EarlyAnswer& answer) {
  if (http2.early.size() >= kMaxEarly) {
    context_->counters.Add(ReaderCount::kHeldOverLimit);
    http2.early.erase(http2.early.begin());
  }
  http2.early.push_back(answer);
}

void Http2Streams::TakeEarly(Http2Connection& http2, PendingExchange& pending) {
  bool has_ended = false;
  std::optional<int> grpc_status;
  for (auto answer = http2.early.begin(); answer != http2.early.end();) {
    if (answer->stream > pending.message) {
      ++answer;
      continue;
    }
    // An answer that was received before its request was sent is another request's.
    const bool fits = answer->stream == pending.message && answer->mono_ns >= pending.mono_ns;
    if (!fits) {
      context_->counters.Add(ReaderCount::kAnswersWithoutRequest);
    } else {
      if (pending.status == 0 && answer->status != 0) {
        pending.status = answer->status;
        pending.latency_ns = LatencyNs(pending, answer->mono_ns);
      }
      has_ended = answer->ends;
      grpc_status = answer->grpc_status;
    }
    answer = http2.early.erase(answer);
  }
  if (has_ended) exchanges_->GiveUp(pending, grpc_status);
}

void Http2Streams::OnReset(Connection& connection, uint32_t stream) {
  bodies_->GiveUp(connection, stream);
  if (PendingExchange* const pending = exchanges_->Find(connection, stream)) {
    exchanges_->GiveUp(*pending, kGrpcUnknown);
  }
}

void Http2Streams::OnGoAway(Connection& connection, uint32_t last) {
  const auto pending = connection.exchanges.pending;
  for (const PendingExchanges::iterator& exchange : pending) {
    if (exchange->message > last) exchanges_->GiveUp(*exchange);
  }
}

}  // namespace tokenwatch
