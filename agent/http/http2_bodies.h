// HTTP/2: puts the bodies that left the kernel together and hands them on.
//
// Their pieces lie between those of other streams and between frames. A stream of which a body is
// to come is known from its request on, which a piece without bytes follows: its exchange is looked
// up then, for by the time of the answer's body it has ended.
#ifndef TOKENWATCH_AGENT_HTTP_HTTP2_BODIES_H_
#define TOKENWATCH_AGENT_HTTP_HTTP2_BODIES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>

#include "agent/capture/segment.h"
#include "agent/common/secret_buffer.h"
#include "agent/http/exchange.h"
#include "agent/http/open_exchanges.h"
#include "agent/http/reader_context.h"

namespace tokenwatch {

struct Connection;

// A body of which pieces are still to come, or which has ended.
struct UnfinishedBody {
  SecretBuffer bytes;
  bool begun = false;
  bool ended = false;     // and was handed on
  bool complete = true;   // nothing is missing of it so far
  uint8_t direction = 0;  // enum tw_direction; once it has begun
};

// A stream whose bodies are wanted.
struct BodyStream {
  Connection* connection = nullptr;
  std::list<BodyStream>::iterator self;
  uint32_t stream = 0;
  uint64_t exchange = 0;                 // 0: not known
  uint64_t since = 0;                    // ReaderContext::clock when it was met
  std::array<UnfinishedBody, 2> bodies;  // the request's, the answer's
};

// Not thread safe.
class Http2Bodies {
 public:
  // All must outlive this object.
  Http2Bodies(ExchangeSink* sink, OpenExchanges* exchanges, ReaderContext* context)
      : sink_(sink), exchanges_(exchanges), context_(context) {}
  Http2Bodies(const Http2Bodies&) = delete;
  Http2Bodies& operator=(const Http2Bodies&) = delete;

  // The next piece of a body, with TW_HTTP2 and TW_BODY.
  void Add(Connection& connection, const DataSegment& data);
  // Pieces of a direction are missing that may have been of bodies.
  void OnMissing(Connection& connection, uint8_t direction);
  // Of that stream nothing more will come.
  void GiveUp(Connection& connection, uint32_t stream);
  // Nor of any of the connection.
  void GiveUpAll(Connection& connection);
  // Gives up what is older than ReaderLimits::answer_age_ns.
  void Sweep();

 private:
  // Null where it is not known.
  static BodyStream* Find(Connection& connection, uint32_t stream);
  BodyStream& Open(Connection& connection, uint32_t stream);
  void Append(UnfinishedBody& body, std::string_view bytes);
  void Deliver(BodyStream& stream, bool answer);
  // Hands on what has come of its bodies, and forgets it.
  void Close(BodyStream& stream);

  ExchangeSink* const sink_;
  OpenExchanges* const exchanges_;
  ReaderContext* const context_;
  std::list<BodyStream> streams_;  // oldest first
  size_t bytes_ = 0;               // in streams_
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_HTTP2_BODIES_H_
