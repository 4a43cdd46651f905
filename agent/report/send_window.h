// What was sent on the present gRPC stream and is not acknowledged.
#ifndef TOKENWATCH_AGENT_REPORT_SEND_WINDOW_H_
#define TOKENWATCH_AGENT_REPORT_SEND_WINDOW_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "agent/report/spool.h"

namespace tokenwatch {

struct SentBatch {
  std::string stream_id;
  uint64_t last_sequence = 0;
  SpoolPosition end;
  RecordInfo info;
  size_t bytes = 0;
  bool done = false;  // needs no answer, or has it
};

// A batch that the collector refuses as malformed would be refused for ever, so after a refusal as
// many batches as were in flight go one at a time, until the refused one is known. Not thread safe.
class SendWindow {
 public:
  SendWindow(size_t max_batches, size_t max_bytes)
      : max_batches_(max_batches), max_bytes_(max_bytes) {}

  bool Open() const;
  bool empty() const { return sent_.empty(); }
  void Push(SentBatch batch);

  // Marks what an answer covers. An answer that covers nothing is none of ours and ignored.
  void Acknowledge(const std::string& stream_id, uint64_t sequence);
  // Takes the batches from the front that are done, in the order in which they were sent.
  std::vector<SentBatch> TakeDone();

  // The stream ended: everything not taken must be sent again.
  void Clear();
  // As Clear, after the collector called a batch malformed. The batch, where it is known.
  std::optional<SentBatch> ClearRefused();

 private:
  const size_t max_batches_;
  const size_t max_bytes_;
  std::deque<SentBatch> sent_;
  size_t bytes_ = 0;
  size_t careful_ = 0;  // batches that still go one at a time
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_SEND_WINDOW_H_
