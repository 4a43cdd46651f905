#include "agent/report/segment_reader.h"

namespace tokenwatch {

absl::StatusOr<SegmentStep> ReadStep(File* file, std::string_view stream_id, uint64_t limit,
                                     const SegmentCursor& cursor, bool with_payload) {
  const SegmentStep end{StepKind::kEnd, {}, "", limit};
  if (cursor.offset + kRecordHeaderSize > limit) return end;
  auto head = file->ReadAt(cursor.offset, kRecordHeaderSize);
  if (!head.ok()) return head.status();
  uint64_t offset = cursor.offset;
  RecordHeader header;
  if (!DecodeRecordHeader(stream_id, *head, &header)) {
    auto rest = file->ReadAt(offset, limit - offset);
    if (!rest.ok()) return rest.status();
    const size_t found = FindRecord(stream_id, *rest);
    if (found == std::string::npos) return end;
    DecodeRecordHeader(stream_id, std::string_view(*rest).substr(found), &header);
    offset += found;
  }
  if (cursor.sequence != 0 && header.info.first_sequence > cursor.sequence) {
    SegmentStep step{StepKind::kDamaged, {}, "", offset};
    step.info = {.first_sequence = cursor.sequence,
                 .uses = static_cast<uint32_t>(header.info.first_sequence - cursor.sequence),
                 .counted = header.info.first_sequence - cursor.sequence,
                 .since_us = header.info.since_us,
                 .until_us = header.info.until_us};
    return step;
  }
  const uint64_t payload_offset = offset + kRecordHeaderSize;
  if (payload_offset + header.payload_size > limit) return end;
  SegmentStep step{StepKind::kRecord, header.info, "", payload_offset + header.payload_size};
  if (!with_payload) return step;
  auto payload = file->ReadAt(payload_offset, header.payload_size);
  if (!payload.ok()) return payload.status();
  if (PayloadMatches(stream_id, header, *payload)) {
    step.payload = *std::move(payload);
  } else {
    step.kind = StepKind::kDamaged;
  }
  return step;
}

}  // namespace tokenwatch
