#include "agent/http/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <iterator>
#include <string>

namespace tokenwatch {
namespace {

std::string AddressText(uint8_t family, const uint8_t (&bytes)[16]) {
  static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  char text[INET6_ADDRSTRLEN] = "";
  if (family == 4) {
    inet_ntop(AF_INET, bytes, text, sizeof(text));
  } else if (std::equal(std::begin(kMapped), std::end(kMapped), bytes)) {
    inet_ntop(AF_INET, bytes + sizeof(kMapped), text, sizeof(text));
  } else {
    inet_ntop(AF_INET6, bytes, text, sizeof(text));
  }
  return text;
}

PeerCertainty CertaintyOf(const tw_peer& segment) {
  if (segment.family != 4 && segment.family != 6) return PeerCertainty::kUnknown;
  switch (segment.certainty) {
    case TW_PEER_EXACT:
      return PeerCertainty::kExact;
    case TW_PEER_INFERRED:
      return PeerCertainty::kInferred;
    default:
      return PeerCertainty::kUnknown;
  }
}

}  // namespace

void UpdatePeer(const tw_peer& segment, Peer* peer) {
  const PeerCertainty certainty = CertaintyOf(segment);
  if (peer->certainty == PeerCertainty::kExact && certainty != PeerCertainty::kExact) return;
  *peer = Peer();
  if (certainty == PeerCertainty::kUnknown) return;
  peer->certainty = certainty;
  peer->peer_address = AddressText(segment.family, segment.peer);
  peer->local_address = AddressText(segment.family, segment.local);
  peer->peer_port = segment.peer_port;
  peer->local_port = segment.local_port;
}

}  // namespace tokenwatch
