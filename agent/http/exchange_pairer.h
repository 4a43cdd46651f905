// HTTP/1: joins answers to requests by connection and ordinal.
//
// Blocks of one direction come in order, and answers in the order of their requests (RFC 9112,
// 9.3.2): the answer to a later request proves that an earlier one's was lost.
#ifndef TOKENWATCH_AGENT_HTTP_EXCHANGE_PAIRER_H_
#define TOKENWATCH_AGENT_HTTP_EXCHANGE_PAIRER_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <vector>

#include "agent/capture/segment.h"
#include "agent/common/secret_buffer.h"
#include "agent/http/block_sink.h"
#include "agent/http/head_parser.h"
#include "agent/http/open_exchanges.h"
#include "agent/http/reader_context.h"

namespace tokenwatch {

struct Connection;

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
  HeldAnswer* held = nullptr;
  uint32_t newest_request = 0;  // ordinal, where has_request
  bool has_request = false;
  bool request_open = false;  // the block of newest_request has begun and not ended
};

// Not thread safe.
class ExchangePairer : public BlockSink {
 public:
  // Both must outlive the pairer.
  ExchangePairer(OpenExchanges* exchanges, ReaderContext* context)
      : exchanges_(exchanges), context_(context) {}
  ExchangePairer(const ExchangePairer&) = delete;
  ExchangePairer& operator=(const ExchangePairer&) = delete;

  void OnBlockStart(Connection& connection, const tw_data& first) override;
  void OnBlock(Connection& connection, const tw_data& first, const HeaderBlock& block) override;

  // Drops the answer that waits for its request, if there is one.
  void DropHeld(Connection& connection);

  // Connections whose held answer has waited for ReaderLimits::grace_ns.
  std::vector<Connection*> OverdueHeld() const;

 private:
  void OnRequest(Connection& connection, const tw_data& first, const HeaderBlock& block);
  void OnAnswer(Connection& connection, const tw_data& first, const HeaderBlock& block);
  void Hold(Connection& connection, const tw_data& first, const HeaderBlock& block, bool early);
  void ReleaseHeld(Connection& connection, const tw_data& request);
  std::list<HeldAnswer> TakeHeld(Connection& connection);

  OpenExchanges* const exchanges_;
  ReaderContext* const context_;
  std::list<HeldAnswer> held_;  // oldest first
  size_t held_bytes_ = 0;
  HeadParser parser_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_EXCHANGE_PAIRER_H_
