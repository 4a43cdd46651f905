// Reads the ring buffer with few wake-ups, and has it wiped when it is idle.
#ifndef TOKENWATCH_AGENT_CAPTURE_RING_READER_H_
#define TOKENWATCH_AGENT_CAPTURE_RING_READER_H_

#include <bpf/libbpf.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "agent/capture/kernel_programs.h"
#include "agent/capture/segment.h"
#include "agent/common/counters.h"

namespace tokenwatch {

// Used on one thread, AddCounters on any.
class RingReader {
 public:
  // `programs` must outlive this.
  static absl::StatusOr<std::unique_ptr<RingReader>> Create(const KernelPrograms* programs,
                                                            uint32_t ring_bytes);
  ~RingReader();

  // Delivers what is there. Under traffic it collects for kDrainMs before it looks; without traffic
  // it asks the programs to wake it and sleeps up to `timeout_ms`. Returns the number of segments.
  absl::StatusOr<int> Poll(int timeout_ms, SegmentHandler handler);

  // Where bytes were read and nothing has come for a while, has the kernel write zeros over the
  // whole ring, so that no consumed byte stays readable.
  void WipeIfIdle(SegmentHandler handler);

  // CLOCK_MONOTONIC, ns: all that the programs had submitted by then has been delivered. 0 before
  // the first such moment.
  uint64_t delivered_until_ns() const { return delivered_until_ns_; }

  void AddCounters(Counters* counters) const;

 private:
  static constexpr int kDrainMs = 10;

  RingReader(const KernelPrograms* programs, uint32_t ring_bytes)
      : programs_(programs), ring_bytes_(ring_bytes) {}
  int Drain(SegmentHandler handler);
  int OnRecord(void* data, size_t size);
  void SetSleeping(bool sleeping);

  const KernelPrograms* programs_;
  const uint32_t ring_bytes_;
  ring_buffer* ring_ = nullptr;
  uint32_t* sleeping_ = nullptr;  // shared with the programs
  void* control_ = nullptr;
  void* positions_ = nullptr;  // of the ring: consumer's page, producer's page
  uint64_t delivered_until_ns_ = 0;
  const SegmentHandler* handler_ = nullptr;  // during Drain
  int delivered_ = 0;
  int idle_polls_ = 0;
  bool dirty_ = false;
  std::atomic<uint64_t> malformed_{0}, wakeups_{0}, wipes_{0};
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_RING_READER_H_
