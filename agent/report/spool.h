// Records on disk between observing and the collector's acknowledgement.
//
// Files are written by one process start only, each start under a stream id of its own, and never
// changed afterwards: what an earlier start left behind is delivered again under its own stream id,
// so that the collector recognises what it has.
#ifndef TOKENWATCH_AGENT_REPORT_SPOOL_H_
#define TOKENWATCH_AGENT_REPORT_SPOOL_H_

#include <compare>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "agent/report/file_system.h"
#include "agent/report/segment_reader.h"
#include "agent/report/spool_format.h"

namespace tokenwatch {

struct SpoolOptions {
  std::string directory;  // exists
  std::string stream_id;  // 16 bytes, of this start
  uint64_t max_bytes = uint64_t{256} << 20;
  uint64_t segment_bytes = uint64_t{1} << 20;  // a file that has reached it gets no more
};

struct SpoolRecord {
  RecordInfo info;
  std::string payload;
};

// A place between two records. Later records have greater places, over all files.
struct SpoolPosition {
  uint64_t file = 0;
  uint64_t offset = 0;
  uint64_t sequence = 0;  // of the next record; follows from the other two
  friend bool operator==(const SpoolPosition& a, const SpoolPosition& b) {
    return a.file == b.file && a.offset == b.offset;
  }
  friend auto operator<=>(const SpoolPosition& a, const SpoolPosition& b) {
    if (const auto order = a.file <=> b.file; order != 0) return order;
    return a.offset <=> b.offset;
  }
};

struct SpoolEntry {
  bool damaged = false;   // written once and unreadable: `info` says how many, `payload` is empty
  std::string stream_id;  // empty where not even that is known
  RecordInfo info;
  std::string payload;
  SpoolPosition end;  // behind it
};

// What had to go to keep the bound.
struct SpoolDrop {
  uint64_t uses = 0;  // not acknowledged
  int64_t since_us = 0;
  int64_t until_us = 0;
  std::vector<std::string> payloads_with_gaps;  // of dropped records: what they count is kept
};

struct SpoolState {
  uint64_t bytes = 0;
  uint64_t files = 0;
  uint64_t unacknowledged = 0;    // sum of the counts of uses
  uint64_t removal_failures = 0;  // files that are no longer needed and could not be removed
};

// One thread appends, one reads; the other functions may be called on any. Files are read and
// written without the lock, so that a slow disk holds up neither side through the other.
class Spool {
 public:
  // Reads what is in the directory, which no other process may change meanwhile.
  // FailedPrecondition where a file was written by a newer agent; else the file system's errors.
  static absl::StatusOr<std::unique_ptr<Spool>> Open(const SpoolOptions& options,
                                                     FileSystem* file_system);

  // -- The appending thread.

  // Makes the records durable, all or none as far as later readers can tell. Their sequences follow
  // on from what was appended before, and on error the same records must be appended again: a part
  // of them may have reached the disk.
  absl::Status Append(absl::Span<const SpoolRecord> records);

  // Takes the oldest files out of the spool until `incoming` more bytes fit. They stay on disk
  // until RemoveDropped, which is called once the loss has been recorded.
  std::optional<SpoolDrop> MakeRoom(uint64_t incoming);
  void RemoveDropped();

  // -- The reading thread.

  // The entry at or after `position`, which is not moved; none where all has been read. Entries
  // that are acknowledged are passed over. Errors are those of reading a file.
  absl::StatusOr<std::optional<SpoolEntry>> Next(const SpoolPosition& position);
  // What is left of the file at `position`, as one damaged entry: for a file that keeps failing.
  std::optional<SpoolEntry> SkipFile(const SpoolPosition& position);

  // -- Any thread.

  // All up to `end` is safe elsewhere; removes files that are finished. `counted`: of the uses
  // since the acknowledgement before.
  void Acknowledge(const SpoolPosition& end, uint64_t counted);
  // No more is appended or read: removes the current file too if all of it is acknowledged.
  void Finish();

  SpoolState State() const;
  // Of what earlier starts left behind, microseconds since the epoch; 0 where nothing was.
  int64_t last_spooled_us() const { return last_spooled_us_; }

 private:
  struct Segment {
    uint64_t number = 0;
    std::string stream_id;  // empty: the header is damaged
    uint64_t first_sequence = 0;
    uint64_t end_sequence = 0;    // as loaded
    uint64_t missing_before = 0;  // records of the stream between the file before and this one
    std::shared_ptr<File> file;   // null: opened when it is read
    uint64_t bytes = 0;           // that may be read
    uint64_t disk_bytes = 0;      // with what is torn at the end
    bool sealed = true;
    SegmentCursor acknowledged;
    uint64_t counted = 0;  // of uses, not acknowledged
    bool has_gaps = false;
    int64_t since_us = 0;
    int64_t until_us = 0;
  };

  Spool(SpoolOptions options, FileSystem* file_system)
      : options_(std::move(options)), file_system_(file_system) {}

  std::string PathOf(uint64_t number) const;
  absl::Status Load();
  // None, and the file removed, where its creation never finished.
  absl::StatusOr<std::optional<Segment>> LoadHeader(uint64_t number);
  // Finds what can be read of the segment, of records below `end_sequence`.
  void LoadRecords(uint64_t end_sequence, Segment* segment);
  static void CountMissing(std::deque<Segment>* segments);
  static void Account(const RecordInfo& info, Segment* segment);
  absl::Status AppendToCurrent(std::string_view bytes);
  absl::Status BeginSegment(std::string_view bytes, const RecordInfo& first);
  void SealCurrent();
  void Remove(absl::Span<const uint64_t> numbers);
  void RemoveFinished();
  absl::StatusOr<std::shared_ptr<File>> Reader(const Segment& segment);
  void CollectGaps(const Segment& segment, std::vector<std::string>* payloads);
  // Copies the first segment at or after `position`; false if there is none.
  bool Find(const SpoolPosition& position, Segment* segment) const;

  const SpoolOptions options_;
  FileSystem* const file_system_;
  int64_t last_spooled_us_ = 0;

  // The appending thread's.
  std::shared_ptr<File> current_;  // null: the next record begins a file
  uint64_t next_number_ = 1;
  std::vector<uint64_t> dropped_;

  // The reading thread's.
  std::shared_ptr<File> reader_;
  uint64_t reader_number_ = 0;

  mutable absl::Mutex mutex_;
  std::deque<Segment> segments_ ABSL_GUARDED_BY(mutex_);  // oldest first; the last may be current
  uint64_t removal_failures_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_SPOOL_H_
