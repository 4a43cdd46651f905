// The socket that the kernel side named for a connection.
#ifndef TOKENWATCH_AGENT_HTTP_PEER_H_
#define TOKENWATCH_AGENT_HTTP_PEER_H_

#include "agent/capture/segment.h"
#include "agent/http/exchange.h"

namespace tokenwatch {

// Takes over what `segment` says, unless `peer` is known for certain and the segment is not. An
// address whose family is neither 4 nor 6 makes the peer unknown. IPv4-mapped IPv6 addresses are
// written as IPv4.
void UpdatePeer(const tw_peer& segment, Peer* peer);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_PEER_H_
