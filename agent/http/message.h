// How messages are told apart and ordered on a connection.
#ifndef TOKENWATCH_AGENT_HTTP_MESSAGE_H_
#define TOKENWATCH_AGENT_HTTP_MESSAGE_H_

#include <cstdint>

#include "agent/capture/segment.h"

namespace tokenwatch {

inline bool IsResponse(const tw_data& meta) { return (meta.flags & TW_RESPONSE) != 0; }

// The piece is of an HTTP/2 frame, and its message is a stream.
inline bool IsHttp2(const tw_data& meta) { return (meta.flags & TW_HTTP2) != 0; }

// The piece is of a body.
inline bool IsBody(const tw_data& meta) { return (meta.flags & TW_BODY) != 0; }

// Of two ordinals on one connection. They wrap; far fewer than 2^31 messages are in flight. No
// ordinal is before TW_NO_MESSAGE.
inline bool IsBefore(uint32_t message, uint32_t other) {
  return static_cast<int32_t>(message - other) < 0;
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_MESSAGE_H_
