// What the kernel side's gaps mean for people and for the exchanges of a connection: one table.
#ifndef TOKENWATCH_AGENT_HTTP_GAP_H_
#define TOKENWATCH_AGENT_HTTP_GAP_H_

#include <cstdint>
#include <iterator>
#include <string_view>

#include "agent/capture/segment.h"

namespace tokenwatch {

enum class GapEffect {
  kNone,          // answers may still come
  kUnanswered,    // what is unanswered stays so
  kDiscardsLate,  // unanswered requests of a late sighting were body bytes
};

struct GapReason {
  std::string_view name;  // of its counter; ends in _unseen unless the gap is expected
  uint8_t reason;         // enum tw_gap_reason
  GapEffect effect;
};

// The last row stands for values that are in no other.
inline constexpr GapReason kGapReasons[] = {
    {"lost_framing_unseen", TW_GAP_LOST_FRAMING, GapEffect::kUnanswered},
    {"http2_unseen", TW_GAP_HTTP2, GapEffect::kUnanswered},
    {"upgraded_connections", TW_GAP_UPGRADED, GapEffect::kNone},
    {"tunnel_connections", TW_GAP_TUNNEL, GapEffect::kNone},
    {"pipeline_unseen", TW_GAP_PIPELINE, GapEffect::kUnanswered},
    {"late_sightings_discarded", TW_GAP_LATE_DISCARD, GapEffect::kDiscardsLate},
    {"past_api_unseen", TW_GAP_PAST_API, GapEffect::kUnanswered},
    {"unreadable_unseen", TW_GAP_UNREADABLE, GapEffect::kUnanswered},
    {"kernel_buffer_unseen", TW_GAP_KERNEL_BUFFER, GapEffect::kUnanswered},
    {"receive_call_unseen", TW_GAP_UNSEEN_CALL, GapEffect::kUnanswered},
    {"unknown_gap_unseen", 0, GapEffect::kUnanswered},
};

// The row of enum tw_gap_reason value `reason`.
constexpr const GapReason& GapReasonOf(uint8_t reason) {
  for (const GapReason& row : kGapReasons) {
    if (row.reason == reason) return row;
  }
  return *(std::end(kGapReasons) - 1);
}

// The name of the counter of enum tw_gap_reason value `reason`.
constexpr std::string_view GapName(uint8_t reason) { return GapReasonOf(reason).name; }

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HTTP_GAP_H_
