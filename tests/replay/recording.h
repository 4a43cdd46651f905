// Recorded segments: what the ring buffer delivered, for a replay without root and kernel.
//
// A recording file is the eight bytes "twrec 1\n", then for every record, in the order of delivery,
// its length (32 bits, little-endian) and its bytes as bpf/segment.h lays them out. It ends where a
// record ends. Recordings hold header bytes, so they are made from made-up values by code.
#ifndef TOKENWATCH_TESTS_REPLAY_RECORDING_H_
#define TOKENWATCH_TESTS_REPLAY_RECORDING_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "agent/capture/segment.h"

namespace tokenwatch {

using Record = std::vector<uint8_t>;

class Recording {
 public:
  void Add(Record record) { records_.push_back(std::move(record)); }
  void Add(const std::vector<Record>& records) {
    records_.insert(records_.end(), records.begin(), records.end());
  }
  absl::Span<const Record> Records() const { return records_; }

  // Replaces the file. An error names the path.
  absl::Status Write(const std::string& path) const;
  // InvalidArgument where the file is no recording or ends inside a record.
  static absl::StatusOr<Recording> Read(const std::string& path);

 private:
  std::vector<Record> records_;
};

// Delivers a recording as the kernel would: ParseSegment's views point into memory that is given
// back after each segment. Records that ParseSegment refuses are counted and skipped.
class RecordingSource : public SegmentSource {
 public:
  // `recording` must outlive the source.
  explicit RecordingSource(const Recording* recording) : recording_(recording) {}

  // Delivers all that is left.
  absl::StatusOr<int> Poll(int timeout_ms, SegmentHandler handler) override;
  int Refused() const { return refused_; }

 private:
  const Recording* const recording_;
  size_t next_ = 0;
  int refused_ = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_REPLAY_RECORDING_H_
