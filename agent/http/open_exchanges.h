// Requests that were handed on and wait for their answers.
#ifndef TOKENWATCH_AGENT_HTTP_OPEN_EXCHANGES_H_
#define TOKENWATCH_AGENT_HTTP_OPEN_EXCHANGES_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "agent/capture/segment.h"
#include "agent/http/exchange.h"
#include "agent/http/reader_context.h"

namespace tokenwatch {

struct Connection;

// A request that was handed on and has not ended yet.
struct PendingExchange {
  Connection* connection = nullptr;
  uint64_t exchange = 0;
  uint64_t mono_ns = 0;  // of the request's first piece
  uint64_t since = 0;    // ReaderContext::clock when it was handed on
  uint32_t message = 0;  // ordinal, HTTP/2: stream
  bool late = false;
  // gRPC, whose answer ends with its trailers.
  bool is_grpc = false;     // the request says so
  int status = 0;           // of the answer that has begun, else 0
  uint64_t latency_ns = 0;  // likewise
};
using PendingExchanges = std::list<PendingExchange>;

// The exchange of a connection that ended last: its answer's body may still come.
struct EndedExchange {
  uint64_t exchange = 0;  // 0: none
  uint32_t message = 0;
};

// The part of a connection that belongs to OpenExchanges, and its peer.
struct ExchangeState {
  absl::InlinedVector<PendingExchanges::iterator, 1> pending;  // oldest first
  EndedExchange ended;
  Peer peer;
};

// Gives exchanges their numbers and tells the sink. Not thread safe.
class OpenExchanges {
 public:
  // Both must outlive this object.
  OpenExchanges(ExchangeSink* sink, ReaderContext* context) : sink_(sink), context_(context) {}
  OpenExchanges(const OpenExchanges&) = delete;
  OpenExchanges& operator=(const OpenExchanges&) = delete;

  // Completes `head` with what `first`, the first piece of the request, says, hands it on and keeps
  // it as `first.message`. At most `limit` of one connection are kept.
  PendingExchange& Begin(Connection& connection, const tw_data& first, size_t limit,
                         RequestHead* head);
  // Null where there is none.
  PendingExchange* Find(Connection& connection, uint32_t message);

  // Ends an exchange with `answer`, of which kind, status and what comes from the answer are set.
  void End(PendingExchange& pending, Answer answer);
  // Ends it as what was seen of it says: unanswered, or answered where a gRPC answer had begun.
  void GiveUp(PendingExchange& pending, std::optional<int> grpc_status = std::nullopt);
  void GiveUpAll(Connection& connection, std::optional<int> grpc_status = std::nullopt);
  // Ends those whose first piece is older than `mono_ns`.
  void GiveUpBefore(uint64_t mono_ns);
  // Ends those of late sightings as discarded.
  void DiscardLate(Connection& connection);
  // Gives up what is older than ReaderLimits::answer_age_ns.
  void Sweep();

 private:
  ExchangeSink* const sink_;
  ReaderContext* const context_;
  PendingExchanges pending_;  // oldest first
  uint64_t next_exchange_ = 1;
};

// From the call that sent a request's first byte to an answer's that came at `received`.
inline uint64_t LatencyNs(const PendingExchange& pending, uint64_t received) {
  return received > pending.mono_ns ? received - pending.mono_ns : 0;
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_OPEN_EXCHANGES_H_
