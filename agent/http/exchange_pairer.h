// Joins answers to requests by connection and ordinal, and tells the sink.
//
// Blocks of one direction come in order, and answers in the order of their requests (RFC 9112,
// 9.3.2): the answer to a later request proves that an earlier one's was lost.
#ifndef TOKENWATCH_AGENT_HTTP_EXCHANGE_PAIRER_H_
#define TOKENWATCH_AGENT_HTTP_EXCHANGE_PAIRER_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "agent/capture/segment.h"
#include "agent/common/secret_buffer.h"
#include "agent/http/exchange.h"
#include "agent/http/head_parser.h"
#include "agent/http/reader_context.h"

namespace tokenwatch {

struct Connection;

// A request that was handed on and not answered yet.
struct PendingExchange {
  Connection* connection = nullptr;
  uint64_t exchange = 0;
  uint64_t mono_ns = 0;  // of the request's first piece
  uint64_t since = 0;    // ReaderContext::clock when it was handed on
  uint32_t message = 0;
  bool late = false;
};
using PendingExchanges = std::list<PendingExchange>;

// An answer that was complete before its request was.
struct HeldAnswer {
  Connection* connection = nullptr;
  std::list<HeldAnswer>::iterator self;
  tw_data first;  // of its first piece
  SecretBuffer bytes;
  std::vector<size_t> holes;
  uint64_t since = 0;  // ReaderContext::clock when it came
  bool early = false;  // no byte of its request had been seen
};

// Pairing's part of a connection.
struct PairingState {
  absl::InlinedVector<PendingExchanges::iterator, 1> pending;  // oldest first
  HeldAnswer* held = nullptr;
  uint32_t newest_request = 0;  // ordinal, where has_request
  bool has_request = false;
  bool request_open = false;  // the block of newest_request has begun and not ended
  Peer peer;
};

// Not thread safe.
class ExchangePairer {
 public:
  // Both must outlive the pairer.
  ExchangePairer(ExchangeSink* sink, ReaderContext* context) : sink_(sink), context_(context) {}
  ExchangePairer(const ExchangePairer&) = delete;
  ExchangePairer& operator=(const ExchangePairer&) = delete;

  // A block begins with the piece `first`.
  void OnBlockStart(Connection& connection, const tw_data& first);
  // The block that began with `first` has ended, if only because the rest of it will not come.
  void OnBlock(Connection& connection, const tw_data& first, const HeaderBlock& block);

  // Ends every exchange of the connection as unanswered.
  void EndAll(Connection& connection);
  // Ends the late ones as discarded.
  void DiscardLate(Connection& connection);
  // Drops the answer that waits for its request, if there is one.
  void DropHeld(Connection& connection);

  // Ends what is older than ReaderLimits::answer_age_ns.
  void Sweep();
  // Connections whose held answer has waited for ReaderLimits::grace_ns.
  std::vector<Connection*> OverdueHeld() const;

 private:
  void OnRequest(Connection& connection, const tw_data& first, const HeaderBlock& block);
  void OnAnswer(Connection& connection, const tw_data& first, const HeaderBlock& block);
  void AddPending(Connection& connection, const tw_data& first, uint64_t exchange);
  void Hold(Connection& connection, const tw_data& first, const HeaderBlock& block, bool early);
  void ReleaseHeld(Connection& connection, const tw_data& request);
  std::list<HeldAnswer> TakeHeld(Connection& connection);
  void End(PendingExchanges::iterator pending, AnswerKind kind, int status = 0,
           uint64_t latency_ns = 0);

  ExchangeSink* const sink_;
  ReaderContext* const context_;
  PendingExchanges pending_;    // oldest first
  std::list<HeldAnswer> held_;  // oldest first
  size_t held_bytes_ = 0;
  uint64_t next_exchange_ = 1;
  HeadParser parser_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_EXCHANGE_PAIRER_H_
