#include "agent/http/open_exchanges.h"

#include <algorithm>
#include <iterator>

#include "agent/http/connection.h"

namespace tokenwatch {

PendingExchange& OpenExchanges::Begin(Connection& connection, const tw_data& first, size_t limit,
                                      RequestHead* head) {
  head->exchange = next_exchange_++;
  head->connection = connection.id;
  head->tag = first.tag;
  head->message = first.message;
  head->process = first.process;
  head->pid = first.pid;
  head->mono_ns = first.h.mono_ns;
  head->tls = first.layer == TW_LAYER_TLS;
  head->inbound = (first.flags & TW_INBOUND) != 0;
  context_->counters.Add(ReaderCount::kExchanges);
  sink_->OnRequest(*head);

  auto& of_connection = connection.exchanges.pending;
  if (!of_connection.empty() && of_connection.size() >= limit) {
    context_->counters.Add(ReaderCount::kExchangesOverLimit);
    GiveUp(*of_connection.front());
  } else if (!pending_.empty() && pending_.size() >= context_->limits.pending) {
    context_->counters.Add(ReaderCount::kExchangesOverLimit);
    GiveUp(pending_.front());
  }
  PendingExchange& pending = pending_.emplace_back();
  pending.connection = &connection;
  pending.exchange = head->exchange;
  pending.mono_ns = first.h.mono_ns;
  pending.since = context_->clock;
  pending.message = first.message;
  pending.late = (first.flags & TW_LATE) != 0;
  of_connection.push_back(std::prev(pending_.end()));
  return pending;
}

PendingExchange* OpenExchanges::Find(Connection& connection, uint32_t message) {
  for (const PendingExchanges::iterator& pending : connection.exchanges.pending) {
    if (pending->message == message) return &*pending;
  }
  return nullptr;
}

void OpenExchanges::End(PendingExchange& pending, Answer answer) {
  ExchangeState& state = pending.connection->exchanges;
  answer.exchange = pending.exchange;
  answer.peer = &state.peer;
  context_->counters.Add(answer.kind == AnswerKind::kAnswered    ? ReaderCount::kAnswered
                         : answer.kind == AnswerKind::kDiscarded ? ReaderCount::kDiscarded
                                                                 : ReaderCount::kUnanswered);
  const auto at = std::find_if(state.pending.begin(), state.pending.end(),
                               [&](PendingExchanges::iterator one) { return &*one == &pending; });
  state.ended = {pending.exchange, pending.message};
  const PendingExchanges::iterator kept = *at;
  state.pending.erase(at);
  pending_.erase(kept);
  sink_->OnAnswer(answer);
}

void OpenExchanges::GiveUp(PendingExchange& pending, std::optional<int> grpc_status) {
  Answer answer;
  if (pending.status != 0) {
    answer.kind = AnswerKind::kAnswered;
    answer.status = pending.status;
    answer.latency_ns = pending.latency_ns;
    answer.grpc_status = grpc_status;
  }
  End(pending, answer);
}

void OpenExchanges::GiveUpAll(Connection& connection, std::optional<int> grpc_status) {
  while (!connection.exchanges.pending.empty()) {
    GiveUp(*connection.exchanges.pending.front(), grpc_status);
  }
}

void OpenExchanges::GiveUpBefore(uint64_t mono_ns) {
  for (auto at = pending_.begin(); at != pending_.end();) {
    PendingExchange& pending = *at++;
    if (pending.mono_ns < mono_ns) GiveUp(pending);
  }
}

void OpenExchanges::DiscardLate(Connection& connection) {
  Answer answer;
  answer.kind = AnswerKind::kDiscarded;
  const auto pending = connection.exchanges.pending;
  for (const PendingExchanges::iterator& exchange : pending) {
    if (exchange->late) End(*exchange, answer);
  }
}

void OpenExchanges::Sweep() {
  while (!pending_.empty() &&
         context_->IsDue(pending_.front().since, context_->limits.answer_age_ns)) {
    context_->counters.Add(ReaderCount::kExchangesExpired);
    GiveUp(pending_.front());
  }
}

}  // namespace tokenwatch
