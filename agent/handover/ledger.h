// Who owns what at a hand-over: told by the agent that goes, applied by the one that comes.
//
// Both agents see every request near the hand-over time, each with programs of its own, so at times
// some microseconds apart, or more where a thread was preempted between the two. The owner's clock
// decides; what it decided is matched with what the successor saw, request by request.
#ifndef TOKENWATCH_AGENT_HANDOVER_LEDGER_H_
#define TOKENWATCH_AGENT_HANDOVER_LEDGER_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"

namespace tokenwatch {

enum class SightingKind : uint8_t {
  kRequest = 1,  // HTTP/1: in order on its connection
  kStream = 2,   // HTTP/2: `message` is the stream
  kTls = 3,      // a TLS or QUIC connection
};

// The beginning of a request or a TLS connection, as one agent saw it.
struct Sighting {
  uint64_t id = 0;       // exchange or connection in that agent; means nothing to the other
  uint64_t mono_ns = 0;  // RequestHead::mono_ns, tw_tls
  uint32_t pid = 0;
  uint32_t tag = 0;      // tw_data.tag; 0 of TLS connections
  uint32_t message = 0;  // kStream only, else 0
  SightingKind kind = SightingKind::kRequest;
  bool tls = false;  // the layer of a request
};

// An owner's word. All that began in the window is listed, whoever owns it.
struct Ledger {
  uint64_t handover_ns = 0;  // what began earlier is the owner's
  uint64_t since_ns = 0;     // the window around it
  uint64_t until_ns = 0;
  std::vector<Sighting> sightings;
};

// Two agents see one beginning at most so far apart; a busy machine may preempt a thread for long.
inline constexpr uint64_t kMaxSkewNs = 250'000'000;

// The ids of those of `mine` that are the other agent's. Of what both saw the ledger says it; what
// the other did not see belongs to whose time it is. Everything is matched within its process,
// connection tag and layer: a stream by its number, else in order, so that the times of pairs
// differ least on the whole.
absl::flat_hash_set<uint64_t> OwnedByOther(const Ledger& ledger, absl::Span<const Sighting> mine);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HANDOVER_LEDGER_H_
