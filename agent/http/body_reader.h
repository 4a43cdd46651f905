// HTTP/1: hands on the bodies that left the kernel.
#ifndef TOKENWATCH_AGENT_HTTP_BODY_READER_H_
#define TOKENWATCH_AGENT_HTTP_BODY_READER_H_

#include "agent/capture/segment.h"
#include "agent/http/block_sink.h"
#include "agent/http/exchange.h"
#include "agent/http/open_exchanges.h"
#include "agent/http/reader_context.h"

namespace tokenwatch {

// Not thread safe.
class BodyReader : public BlockSink {
 public:
  // All must outlive the reader.
  BodyReader(ExchangeSink* sink, OpenExchanges* exchanges, ReaderContext* context)
      : sink_(sink), exchanges_(exchanges), context_(context) {}

  void OnBlockStart(Connection& /*connection*/, const tw_data& /*first*/) override {}
  void OnBlock(Connection& connection, const tw_data& first, const HeaderBlock& block) override;

 private:
  ExchangeSink* const sink_;
  OpenExchanges* const exchanges_;
  ReaderContext* const context_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_BODY_READER_H_
