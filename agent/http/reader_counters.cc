#include "agent/http/reader_counters.h"

#include <string>
#include <string_view>

namespace tokenwatch {
namespace {

struct Row {
  ReaderCount counter;
  std::string_view name;
};

constexpr Row kRows[] = {
    {ReaderCount::kSegments, "segments"},
    {ReaderCount::kSegmentsInvalid, "segments_invalid_dropped"},
    {ReaderCount::kExchanges, "exchanges"},
    {ReaderCount::kAnswered, "exchanges_answered"},
    {ReaderCount::kUnanswered, "exchanges_unanswered"},
    {ReaderCount::kDiscarded, "exchanges_discarded"},
    {ReaderCount::kInterimAnswers, "answers_interim"},
    {ReaderCount::kAnswersLost, "answers_lost"},
    {ReaderCount::kAnswersWithoutRequest, "answers_without_request_lost"},
    {ReaderCount::kHoles, "sequence_holes"},
    {ReaderCount::kPiecesLost, "pieces_lost"},
    {ReaderCount::kPiecesBeforeSight, "pieces_before_sight_lost"},
    {ReaderCount::kPiecesRepeated, "pieces_repeated_dropped"},
    {ReaderCount::kPiecesOrphaned, "pieces_orphaned_lost"},
    {ReaderCount::kOrdinalsReused, "ordinals_reused"},
    {ReaderCount::kBlocksUnparsed, "header_blocks_unparsed_lost"},
    {ReaderCount::kBlocksCut, "header_blocks_cut_lost"},
    {ReaderCount::kHeaderLines, "header_lines_lost"},
    {ReaderCount::kExchangesExpired, "exchanges_expired_lost"},
    {ReaderCount::kBlocksExpired, "header_blocks_expired_lost"},
    {ReaderCount::kConnectionsOverLimit, "connections_over_limit_dropped"},
    {ReaderCount::kExchangesOverLimit, "exchanges_over_limit_dropped"},
    {ReaderCount::kBlocksOverLimit, "header_blocks_over_limit_lost"},
    {ReaderCount::kAssemblyOverLimit, "assembly_over_limit_dropped"},
    {ReaderCount::kHeldOverLimit, "held_answers_over_limit_dropped"},
    {ReaderCount::kExitsOverLimit, "exits_over_limit_dropped"},
    {ReaderCount::kHttp2Frames, "http2_frames"},
    {ReaderCount::kHttp2FramesInvalid, "http2_frames_invalid_lost"},
    {ReaderCount::kHttp2Resets, "http2_streams_reset"},
    {ReaderCount::kHpackTablesLost, "hpack_tables_lost"},
    {ReaderCount::kHpackErrors, "hpack_blocks_lost"},
    {ReaderCount::kHpackTablesTooLarge, "hpack_table_sizes_over_limit_lost"},
    {ReaderCount::kHpackOverLimit, "hpack_tables_over_limit_dropped"},
    {ReaderCount::kFieldsUnresolved, "header_fields_unresolved"},
    {ReaderCount::kFieldsOverLimit, "header_fields_over_limit_lost"},
    {ReaderCount::kStatusesUnresolved, "answers_status_unresolved_lost"},
    {ReaderCount::kBodies, "bodies"},
    {ReaderCount::kBodiesOrphaned, "bodies_orphaned_lost"},
    {ReaderCount::kGrpcStatusesUnresolved, "grpc_status_unresolved_lost"},
};

constexpr bool IsInOrder() {
  for (size_t i = 0; i < std::size(kRows); ++i) {
    if (kRows[i].counter != static_cast<ReaderCount>(i)) return false;
  }
  return std::size(kRows) == static_cast<size_t>(ReaderCount::kCount);
}
static_assert(IsInOrder());

}  // namespace

void ReaderCounters::AddGap(uint8_t reason) {
  Increase(gaps_[&GapReasonOf(reason) - kGapReasons], 1);
}

void ReaderCounters::AddTo(Counters* counters) const {
  for (size_t i = 0; i < totals_.size(); ++i) {
    (*counters)[std::string(kRows[i].name)] += totals_[i].load(std::memory_order_relaxed);
  }
  for (size_t i = 0; i < gaps_.size(); ++i) {
    (*counters)[std::string(kGapReasons[i].name)] += gaps_[i].load(std::memory_order_relaxed);
  }
}

}  // namespace tokenwatch
