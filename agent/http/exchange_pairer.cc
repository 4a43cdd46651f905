#include "agent/http/exchange_pairer.h"

#include <iterator>
#include <optional>

#include "agent/http/connection.h"
#include "agent/http/message.h"

namespace tokenwatch {

void ExchangePairer::OnBlockStart(Connection& connection, const tw_data& first) {
  PairingState& state = connection.pairing;
  const auto& pending = connection.exchanges.pending;
  if (IsResponse(first)) {
    while (!pending.empty() && IsBefore(pending.front()->message, first.message)) {
      context_->counters.Add(ReaderCount::kAnswersLost);
      exchanges_->GiveUp(*pending.front());
    }
    return;
  }
  // The kernel side gives an ordinal again where it gave up the request that had it, whose answer
  // it will not know.
  if (state.has_request && !IsBefore(state.newest_request, first.message)) {
    context_->counters.Add(ReaderCount::kOrdinalsReused);
    while (!pending.empty() && !IsBefore(pending.back()->message, first.message)) {
      exchanges_->GiveUp(*pending.back());
    }
    DropHeld(connection);
  }
  if (state.held != nullptr && state.held->first.message != first.message) DropHeld(connection);
  state.newest_request = first.message;
  state.has_request = true;
  state.request_open = true;
}

void ExchangePairer::OnBlock(Connection& connection, const tw_data& first,
                             const HeaderBlock& block) {
  if (!block.holes.empty()) context_->counters.Add(ReaderCount::kBlocksCut);
  if (IsResponse(first)) {
    OnAnswer(connection, first, block);
  } else {
    if (connection.pairing.newest_request == first.message) {
      connection.pairing.request_open = false;
    }
    OnRequest(connection, first, block);
    ReleaseHeld(connection, first);
  }
  parser_.Clear();
}

void ExchangePairer::OnRequest(Connection& connection, const tw_data& first,
                               const HeaderBlock& block) {
  const std::optional<RequestLine> line = parser_.ParseRequest(block);
  context_->counters.Add(ReaderCount::kHeaderLines, parser_.DroppedLines());
  if (!line.has_value()) {
    context_->counters.Add(ReaderCount::kBlocksUnparsed);
    return;
  }
  RequestHead head;
  head.cut = !block.holes.empty();
  head.version_minor = line->version_minor;
  head.method = line->method;
  head.target = line->target;
  head.fields = parser_.Fields();
  exchanges_->Begin(connection, first, context_->limits.pending_per_connection, &head);
}

void ExchangePairer::OnAnswer(Connection& connection, const tw_data& first,
                              const HeaderBlock& block) {
  const std::optional<int> status = parser_.ParseResponse(block);
  context_->counters.Add(ReaderCount::kHeaderLines, parser_.DroppedLines());
  if (!status.has_value()) {
    context_->counters.Add(ReaderCount::kBlocksUnparsed);
    return;
  }
  // RFC 9110, 15.2: another answer follows, but for 101, after which there is no HTTP/1.
  if (*status < 200 && *status != 101) {
    context_->counters.Add(ReaderCount::kInterimAnswers);
    return;
  }
  const PairingState& state = connection.pairing;
  if (first.message == TW_NO_MESSAGE) {
    context_->counters.Add(ReaderCount::kAnswersWithoutRequest);
    return;
  }
  if (PendingExchange* const pending = exchanges_->Find(connection, first.message)) {
    Answer answer;
    answer.kind = AnswerKind::kAnswered;
    answer.status = *status;
    answer.latency_ns = LatencyNs(*pending, first.h.mono_ns);
    answer.fields = parser_.Fields();
    exchanges_->End(*pending, answer);
    return;
  }
  const bool early = !state.has_request || IsBefore(state.newest_request, first.message);
  if (early || (state.request_open && state.newest_request == first.message)) {
    Hold(connection, first, block, early);
  } else {
    context_->counters.Add(ReaderCount::kAnswersWithoutRequest);
  }
}

void ExchangePairer::Hold(Connection& connection, const tw_data& first, const HeaderBlock& block,
                          bool early) {
  DropHeld(connection);
  if (held_bytes_ + block.bytes.size() > context_->limits.held_bytes) {
    context_->counters.Add(ReaderCount::kHeldOverLimit);
    return;
  }
  HeldAnswer& held = held_.emplace_back();
  held.connection = &connection;
  held.self = std::prev(held_.end());
  held.first = first;
  held.bytes.Append(block.bytes);
  held.holes.assign(block.holes.begin(), block.holes.end());
  held.since = context_->clock;
  held.early = early;
  held_bytes_ += block.bytes.size();
  connection.pairing.held = &held;
}

void ExchangePairer::ReleaseHeld(Connection& connection, const tw_data& request) {
  const HeldAnswer* held = connection.pairing.held;
  if (held == nullptr || held->first.message != request.message) return;
  // An answer that was received before its request was sent is another request's.
  if (held->early && held->first.h.mono_ns < request.h.mono_ns) {
    DropHeld(connection);
    return;
  }
  const std::list<HeldAnswer> taken = TakeHeld(connection);
  OnAnswer(connection, taken.front().first, {taken.front().bytes.view(), taken.front().holes});
  parser_.Clear();
}

std::list<HeldAnswer> ExchangePairer::TakeHeld(Connection& connection) {
  std::list<HeldAnswer> taken;
  taken.splice(taken.begin(), held_, connection.pairing.held->self);
  held_bytes_ -= taken.front().bytes.size();
  connection.pairing.held = nullptr;
  return taken;
}

void ExchangePairer::DropHeld(Connection& connection) {
  if (connection.pairing.held == nullptr) return;
  context_->counters.Add(ReaderCount::kAnswersWithoutRequest);
  TakeHeld(connection);
}

std::vector<Connection*> ExchangePairer::OverdueHeld() const {
  std::vector<Connection*> connections;
  for (const HeldAnswer& held : held_) {
    if (!context_->IsDue(held.since, context_->limits.grace_ns)) break;
    connections.push_back(held.connection);
  }
  return connections;
}

}  // namespace tokenwatch
