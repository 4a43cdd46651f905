// What ExchangeReader counts, one row a counter.
#ifndef TOKENWATCH_AGENT_HTTP_READER_COUNTERS_H_
#define TOKENWATCH_AGENT_HTTP_READER_COUNTERS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "agent/common/counters.h"
#include "agent/http/gap.h"

namespace tokenwatch {

enum class ReaderCount {
  kSegments,         // taken, of any type
  kSegmentsInvalid,  // data with an impossible direction
  kExchanges,        // requests handed on; the next three add up to those that ended
  kAnswered,
  kUnanswered,
  kDiscarded,
  kInterimAnswers,          // 1xx, which end nothing
  kAnswersLost,             // exchanges unanswered because a later answer came first
  kAnswersWithoutRequest,   // answers whose request was lost, unparsed or given up
  kHoles,                   // jumps of a sequence
  kPiecesLost,              // pieces missing in those jumps
  kPiecesBeforeSight,       // pieces numbered before the first that came of a connection: lost, or
                            // the connection had been forgotten after a close or at the limit
  kPiecesRepeated,          // pieces numbered like one that was taken
  kPiecesOrphaned,          // pieces of a block whose start is missing
  kOrdinalsReused,          // requests with the ordinal of an earlier one, which ended unanswered
  kBlocksUnparsed,          // blocks without an HTTP/1 start line, or fields of an HTTP/2 request
  kBlocksCut,               // blocks of which bytes are missing
  kHeaderLines,             // lines dropped from blocks: no field, unfinished, or beside a hole
  kExchangesExpired,        // unanswered for longer than ReaderLimits::answer_age_ns
  kBlocksExpired,           // unfinished for longer than ReaderLimits::block_age_ns
  kConnectionsOverLimit,    // connections forgotten at ReaderLimits::connections
  kExchangesOverLimit,      // exchanges ended at ReaderLimits::pending or pending_per_connection
  kBlocksOverLimit,         // blocks cut at ReaderLimits::block_bytes
  kAssemblyOverLimit,       // blocks given up at ReaderLimits::assembly_bytes
  kHeldOverLimit,           // early answers dropped at ReaderLimits::held_bytes
  kExitsOverLimit,          // process exits not followed up at ReaderLimits::exits
  kHttp2Frames,             // taken
  kHttp2FramesInvalid,      // of an impossible length, or out of place
  kHttp2Resets,             // streams that either side gave up
  kHpackTablesLost,         // times that a direction's table became unknown: bytes were missing
  kHpackErrors,             // blocks that could not be decoded to their end
  kHpackTablesTooLarge,     // blocks that set a table past 64 KiB, which is not followed
  kHpackOverLimit,          // tables dropped at ReaderLimits::hpack_bytes
  kFieldsUnresolved,        // fields whose name an unseen entry holds
  kFieldsOverLimit,         // blocks with too many fields or bytes; the rest was dropped
  kStatusesUnresolved,      // answers whose status is unresolved; their exchanges end unanswered
  kBodies,                  // bodies handed on, of calls that concern tokens' lives
  kBodiesOrphaned,          // bodies whose exchange is not known any more
  kGrpcStatusesUnresolved,  // gRPC calls whose result is; their HTTP status stands
  kCount,
};

// Written by one thread, read by any.
class ReaderCounters {
 public:
  void Add(ReaderCount counter, uint64_t n = 1) {
    Increase(totals_[static_cast<size_t>(counter)], n);
  }
  void AddGap(uint8_t reason);
  void AddTo(Counters* counters) const;

 private:
  using Total = std::atomic<uint64_t>;

  // There is one writer, so no locked instruction is needed.
  static void Increase(Total& total, uint64_t n) {
    total.store(total.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

  std::array<Total, static_cast<size_t>(ReaderCount::kCount)> totals_{};
  std::array<Total, std::size(kGapReasons)> gaps_{};
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_READER_COUNTERS_H_
