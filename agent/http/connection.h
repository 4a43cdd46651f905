// A connection as agent/http knows it.
#ifndef TOKENWATCH_AGENT_HTTP_CONNECTION_H_
#define TOKENWATCH_AGENT_HTTP_CONNECTION_H_

#include <array>
#include <cstdint>
#include <memory>

#include "agent/http/block_assembler.h"
#include "agent/http/exchange_pairer.h"
#include "agent/http/http2_connection.h"
#include "agent/http/open_exchanges.h"

namespace tokenwatch {

// Each part belongs to the class that declares it. Its address stays while it is known.
struct Connection {
  uint64_t id = 0;
  uint64_t process = 0;                // that used it last
  uint64_t last = 0;                   // ReaderContext::clock at its last segment
  bool closing = false;                // a reference was dropped, and no request began since
  std::array<BlockStream, 2> streams;  // by enum tw_direction
  ExchangeState exchanges;
  PairingState pairing;                    // of HTTP/1
  std::unique_ptr<Http2Connection> http2;  // once it speaks HTTP/2
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_CONNECTION_H_
