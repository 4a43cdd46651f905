// HTTP/2: joins answers to requests by stream (RFC 9113, 5.1 and 8.1).
//
// The first header block of a stream is the request, a later one its trailers; the first final one
// that comes back ends the exchange. A gRPC call ends with its trailers, which hold its result.
#ifndef TOKENWATCH_AGENT_HTTP_HTTP2_STREAMS_H_
#define TOKENWATCH_AGENT_HTTP_HTTP2_STREAMS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "agent/capture/segment.h"
#include "agent/http/exchange.h"
#include "agent/http/field_list.h"
#include "agent/http/http2_bodies.h"
#include "agent/http/http2_connection.h"
#include "agent/http/open_exchanges.h"
#include "agent/http/reader_context.h"

namespace tokenwatch {

// A decoded header block. A field without a name is one that the table's unseen part names.
struct Http2Block {
  const FieldList* fields;
  bool ends_stream = false;
  bool is_cut = false;  // fields are missing behind the last
};

// Not thread safe.
class Http2Streams {
 public:
  // All must outlive this object.
  Http2Streams(OpenExchanges* exchanges, Http2Bodies* bodies, ReaderContext* context)
      : exchanges_(exchanges), bodies_(bodies), context_(context) {}
  Http2Streams(const Http2Streams&) = delete;
  Http2Streams& operator=(const Http2Streams&) = delete;

  // `first` is of the block's first piece, with the stream as its message.
  void OnHeaders(Connection& connection, const tw_data& first, const Http2Block& block);
  // Either side gives the stream up.
  void OnReset(Connection& connection, uint32_t stream);
  // The server will not answer requests on streams past `last` (RFC 9113, 6.8).
  void OnGoAway(Connection& connection, uint32_t last);

 private:
  // What a block says, by kind of field.
  struct Parsed;
  Parsed Parse(const Http2Block& block);
  void OnRequest(Connection& connection, const tw_data& first, const Http2Block& block);
  void OnAnswer(Connection& connection, const tw_data& first, const Http2Block& block);
  void HoldEarly(Http2Connection& http2, const EarlyAnswer& answer);
  // Applies answers that came before the request of `pending`.
  void TakeEarly(Http2Connection& http2, PendingExchange& pending);

  OpenExchanges* const exchanges_;
  Http2Bodies* const bodies_;
  ReaderContext* const context_;
  std::vector<HeaderField> fields_;  // of the block at hand
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_HTTP2_STREAMS_H_
