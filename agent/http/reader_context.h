// What the parts of ExchangeReader share.
#ifndef TOKENWATCH_AGENT_HTTP_READER_CONTEXT_H_
#define TOKENWATCH_AGENT_HTTP_READER_CONTEXT_H_

#include <cstddef>
#include <cstdint>

#include "agent/capture/segment.h"
#include "agent/http/reader_counters.h"

namespace tokenwatch {

// Every limit that is hit is counted.
struct ReaderLimits {
  size_t connections = 65536;            // known at once; past it the longest silent is forgotten
  size_t pending = 65536;                // requests without an answer; past it the oldest ends
  size_t pending_per_connection = 256;   // likewise
  size_t streams_per_connection = 1024;  // likewise, of an HTTP/2 connection
  size_t hpack_bytes = 64 << 20;      // of all HPACK tables; past it the longest unused is dropped
  size_t block_bytes = TW_BLOCK_MAX;  // kept of one block; the rest is cut
  size_t assembly_bytes = 16 << 20;   // of all unfinished blocks; past it the oldest is given up
  size_t held_bytes = 4 << 20;        // of answers that came before their request was complete
  size_t exits = 16384;               // processes whose exit is followed up at once
  uint64_t grace_ns = 5'000'000'000;  // that answers have after an exit or a dropped reference
  uint64_t block_age_ns = 60'000'000'000;    // of an unfinished block
  uint64_t answer_age_ns = 600'000'000'000;  // of a request without an answer
};

// Requests of which only a part has come.
struct UnfinishedRequests {
  size_t count = 0;
  uint64_t since_mono_ns = 0;  // when the first of them began; with `count` only
};

struct ReaderContext {
  ReaderLimits limits;
  ReaderCounters counters;
  uint64_t clock = 0;  // the latest CLOCK_MONOTONIC that a segment or a sweep told, ns

  bool IsDue(uint64_t since, uint64_t age) const { return clock - since >= age; }
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_READER_CONTEXT_H_
