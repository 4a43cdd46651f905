#include "agent/report/send_window.h"

#include <utility>

namespace tokenwatch {

bool SendWindow::Open() const {
  if (sent_.empty()) return true;
  return careful_ == 0 && sent_.size() < max_batches_ && bytes_ < max_bytes_;
}

void SendWindow::Push(SentBatch batch) {
  bytes_ += batch.bytes;
  sent_.push_back(std::move(batch));
}

void SendWindow::Acknowledge(const std::string& stream_id, uint64_t sequence) {
  for (SentBatch& batch : sent_) {
    if (batch.stream_id == stream_id && batch.last_sequence <= sequence) batch.done = true;
  }
}

std::vector<SentBatch> SendWindow::TakeDone() {
  std::vector<SentBatch> done;
  while (!sent_.empty() && sent_.front().done) {
    bytes_ -= sent_.front().bytes;
    if (careful_ > 0) --careful_;
    done.push_back(std::move(sent_.front()));
    sent_.pop_front();
  }
  return done;
}

void SendWindow::Clear() {
  sent_.clear();
  bytes_ = 0;
}

std::optional<SentBatch> SendWindow::ClearRefused() {
  std::optional<SentBatch> refused;
  if (careful_ > 0 && sent_.size() == 1) {
    refused = std::move(sent_.front());
    --careful_;
  } else {
    careful_ = sent_.size();
  }
  Clear();
  return refused;
}

}  // namespace tokenwatch
