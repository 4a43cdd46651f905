// The bytes of a spool file.
//
// A spool file is a header and then records, one after the other, of one stream:
//
//   header, 40 bytes: "TWSPOOL\n", u32 version (1), u32 CRC of all but itself, stream id
//                     (16 bytes), u64 first sequence; of this form in every version
//   record, 64 bytes and payload: "TWRC", u32 CRC of the rest of these 64 bytes, u32 payload's
//   size,
//                     u32 payload's CRC, then RecordInfo as below; a v1.Batch with a dictionary of
//                     its own, without stream id
//
// Numbers are little-endian. CRCs are those of zlib; a record's begin with the stream id, so that
// captured bytes inside a payload cannot pass for a record. A record that is not whole at the end
// of a file was being written when the agent died and was never acted on.
#ifndef TOKENWATCH_AGENT_REPORT_SPOOL_FORMAT_H_
#define TOKENWATCH_AGENT_REPORT_SPOOL_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace tokenwatch {

inline constexpr size_t kStreamIdSize = 16;
inline constexpr size_t kSegmentHeaderSize = 40;
inline constexpr size_t kRecordHeaderSize = 64;
inline constexpr size_t kMaxPayloadSize = size_t{8} << 20;

struct SegmentHeader {
  std::string stream_id;  // 16 bytes
  uint64_t first_sequence = 0;
};

// What the agent needs to know of a record without its payload. Times are microseconds since the
// epoch.
struct RecordInfo {
  uint64_t first_sequence = 0;
  uint32_t uses = 0;
  uint32_t gaps = 0;       // and rows of TLS coverage, which follow them
  uint64_t counted = 0;    // sum of the uses' counts
  int64_t since_us = 0;    // of the earliest use; 0 without uses
  int64_t until_us = 0;    // of the latest use
  int64_t spooled_us = 0;  // requests begun before then are in this record or before it

  uint64_t end_sequence() const { return first_sequence + uses + gaps; }
};

std::string EncodeSegmentHeader(const SegmentHeader& header);

// `bytes` begin with the header. DataLoss where it is damaged; FailedPrecondition where it is of
// another version.
absl::StatusOr<SegmentHeader> DecodeSegmentHeader(std::string_view bytes);

void AppendRecord(std::string_view stream_id, const RecordInfo& info, std::string_view payload,
                  std::string* out);

struct RecordHeader {
  RecordInfo info;
  uint32_t payload_size = 0;
  uint32_t payload_crc = 0;
};

// The header of the record that `bytes` begin with, and whether it is one.
bool DecodeRecordHeader(std::string_view stream_id, std::string_view bytes, RecordHeader* header);
bool PayloadMatches(std::string_view stream_id, const RecordHeader& header,
                    std::string_view payload);

// Where in `bytes` the first record header lies, or npos.
size_t FindRecord(std::string_view stream_id, std::string_view bytes);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_SPOOL_FORMAT_H_
