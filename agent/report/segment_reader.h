// Steps through the records of one spool file, damaged or not.
#ifndef TOKENWATCH_AGENT_REPORT_SEGMENT_READER_H_
#define TOKENWATCH_AGENT_REPORT_SEGMENT_READER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "agent/report/file_system.h"
#include "agent/report/spool_format.h"

namespace tokenwatch {

enum class StepKind {
  kRecord,
  kDamaged,  // records that were written and cannot be read: `info` says how many, as far as known
  kEnd,
};

struct SegmentStep {
  StepKind kind = StepKind::kEnd;
  RecordInfo info;
  std::string payload;  // of kRecord, where asked for
  uint64_t next_offset = 0;
};

struct SegmentCursor {
  uint64_t offset = 0;
  uint64_t sequence = 0;  // that the next record should begin with; 0: not known
};

// The step at `cursor` in a file of which `limit` bytes may be read. Bytes that are no record are
// passed over; sequences that are missing in front of the next record are one damaged step. Without
// `with_payload` payloads are neither read nor checked. Errors are those of reading the file.
absl::StatusOr<SegmentStep> ReadStep(File* file, std::string_view stream_id, uint64_t limit,
                                     const SegmentCursor& cursor, bool with_payload);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_SEGMENT_READER_H_
