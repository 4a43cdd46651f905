// What is kept of an HTTP/2 connection.
#ifndef TOKENWATCH_AGENT_HTTP_HTTP2_CONNECTION_H_
#define TOKENWATCH_AGENT_HTTP_HTTP2_CONNECTION_H_

#include <array>
#include <cstdint>
#include <list>
#include <optional>
#include <vector>

#include "agent/capture/segment.h"
#include "agent/common/secret_buffer.h"
#include "agent/http/hpack_heirs.h"
#include "agent/http/hpack_inflater.h"

namespace tokenwatch {

struct BodyStream;
struct Connection;

// A header block of which CONTINUATION frames are still to come.
struct OpenHeaders {
  Connection* connection = nullptr;
  std::list<OpenHeaders>::iterator self;
  tw_data first;  // of the frame that began it
  uint32_t stream = 0;
  bool is_promise = false;
  bool ends_stream = false;
  SecretBuffer bytes;
  uint64_t since = 0;  // ReaderContext::clock when it began
};

// An answer that came before its request, reduced to what ends it.
struct EarlyAnswer {
  uint32_t stream = 0;
  int status = 0;
  bool ends = true;  // false: a gRPC answer whose trailers are still to come
  std::optional<int> grpc_status;
  uint64_t mono_ns = 0;
  uint64_t since = 0;  // ReaderContext::clock when it came
};

struct Http2Connection {
  explicit Http2Connection(HpackMemory* memory)
      : inflaters{HpackInflater(memory), HpackInflater(memory)} {}

  std::array<HpackInflater, 2> inflaters;  // by enum tw_direction
  std::array<OpenHeaders*, 2> headers{};   // likewise
  std::array<HpackTrack, 2> tracks;        // likewise
  bool is_late = false;                    // it was not followed from its preface
  uint32_t newest_request = 0;             // stream; 0: none yet
  uint32_t pid = 0;                        // that spoke last
  uint32_t tag = 0;                        // tw_data.tag
  std::array<bool, 2> is_response{};       // by enum tw_direction, once `tracks` has a position
  std::vector<EarlyAnswer> early;          // oldest first
  uint32_t newest_body = 0;                // stream that had one; 0: none yet
  std::vector<BodyStream*> bodies;         // oldest first
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_HTTP2_CONNECTION_H_
