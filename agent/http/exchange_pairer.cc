#include "agent/http/exchange_pairer.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "agent/http/connection.h"
#include "agent/http/message.h"

namespace tokenwatch {

void ExchangePairer::OnBlockStart(Connection& connection, const tw_data& first) {
  PairingState& state = connection.pairing;
  if (IsResponse(first)) {
    while (!state.pending.empty() && IsBefore(state.pending.front()->message, first.message)) {
      context_->counters.Add(ReaderCount::kAnswersLost);
      End(state.pending.front(), AnswerKind::kUnanswered);
    }
    return;
  }
  // The kernel side gives an ordinal again where it gave up the request that had it, whose answer
  // it will not know.
  if (state.has_request && !IsBefore(state.newest_request, first.message)) {
    context_->counters.Add(ReaderCount::kOrdinalsReused);
    while (!state.pending.empty() && !IsBefore(state.pending.back()->message, first.message)) {
      End(state.pending.back(), AnswerKind::kUnanswered);
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
  head.exchange = next_exchange_++;
  head.connection = connection.id;
  head.process = first.process;
  head.pid = first.pid;
  head.mono_ns = first.h.mono_ns;
  head.tls = first.layer == TW_LAYER_TLS;
  head.inbound = (first.flags & TW_INBOUND) != 0;
  head.cut = !block.holes.empty();
  head.version_minor = line->version_minor;
  head.method = line->method;
  head.target = line->target;
  head.fields = parser_.Fields();
  context_->counters.Add(ReaderCount::kExchanges);
  sink_->OnRequest(head);
  AddPending(connection, first, head.exchange);
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
  PairingState& state = connection.pairing;
  if (first.message == TW_NO_MESSAGE) {
    context_->counters.Add(ReaderCount::kAnswersWithoutRequest);
    return;
  }
  const auto match =
      std::find_if(state.pending.begin(), state.pending.end(),
                   [&](PendingExchanges::iterator at) { return at->message == first.message; });
  if (match != state.pending.end()) {
    const uint64_t sent = (*match)->mono_ns;
    const uint64_t received = first.h.mono_ns;
    End(*match, AnswerKind::kAnswered, *status, received > sent ? received - sent : 0);
    return;
  }
  const bool early = !state.has_request || IsBefore(state.newest_request, first.message);
  if (early || (state.request_open && state.newest_request == first.message)) {
    Hold(connection, first, block, early);
  } else {
    context_->counters.Add(ReaderCount::kAnswersWithoutRequest);
  }
}

void ExchangePairer::AddPending(Connection& connection, const tw_data& first, uint64_t exchange) {
  PairingState& state = connection.pairing;
  if (!state.pending.empty() && state.pending.size() >= context_->limits.pending_per_connection) {
    context_->counters.Add(ReaderCount::kExchangesOverLimit);
    End(state.pending.front(), AnswerKind::kUnanswered);
  } else if (!pending_.empty() && pending_.size() >= context_->limits.pending) {
    context_->counters.Add(ReaderCount::kExchangesOverLimit);
    End(pending_.begin(), AnswerKind::kUnanswered);
  }
  PendingExchange& pending = pending_.emplace_back();
  pending.connection = &connection;
  pending.exchange = exchange;
  pending.mono_ns = first.h.mono_ns;
  pending.since = context_->clock;
  pending.message = first.message;
  pending.late = (first.flags & TW_LATE) != 0;
  state.pending.push_back(std::prev(pending_.end()));
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

void ExchangePairer::EndAll(Connection& connection) {
  DropHeld(connection);
  while (!connection.pairing.pending.empty()) {
    End(connection.pairing.pending.front(), AnswerKind::kUnanswered);
  }
}

void ExchangePairer::DiscardLate(Connection& connection) {
  const auto pending = connection.pairing.pending;
  for (const PendingExchanges::iterator& exchange : pending) {
    if (exchange->late) End(exchange, AnswerKind::kDiscarded);
  }
}

void ExchangePairer::Sweep() {
  while (!pending_.empty() &&
         context_->IsDue(pending_.front().since, context_->limits.answer_age_ns)) {
    context_->counters.Add(ReaderCount::kExchangesExpired);
    End(pending_.begin(), AnswerKind::kUnanswered);
  }
}

std::vector<Connection*> ExchangePairer::OverdueHeld() const {
  std::vector<Connection*> connections;
  for (const HeldAnswer& held : held_) {
    if (!context_->IsDue(held.since, context_->limits.grace_ns)) break;
    connections.push_back(held.connection);
  }
  return connections;
}

void ExchangePairer::End(PendingExchanges::iterator pending, AnswerKind kind, int status,
                         uint64_t latency_ns) {
  PairingState& state = pending->connection->pairing;
  Answer answer;
  answer.exchange = pending->exchange;
  answer.kind = kind;
  answer.status = status;
  answer.latency_ns = latency_ns;
  answer.peer = &state.peer;
  if (kind == AnswerKind::kAnswered) answer.fields = parser_.Fields();
  context_->counters.Add(kind == AnswerKind::kAnswered    ? ReaderCount::kAnswered
                         : kind == AnswerKind::kDiscarded ? ReaderCount::kDiscarded
                                                          : ReaderCount::kUnanswered);
  state.pending.erase(std::find(state.pending.begin(), state.pending.end(), pending));
  pending_.erase(pending);
  sink_->OnAnswer(answer);
}

}  // namespace tokenwatch
