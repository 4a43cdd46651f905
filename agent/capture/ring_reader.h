// Reads the ring buffer with few wake-ups, and has it wiped when it is idle.
#ifndef TOKENWATCH_AGENT_CAPTURE_RING_READER_H_
#define TOKENWATCH_AGENT_CAPTURE_RING_READER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/capture/segment.h"
#include "agent/common/counters.h"

struct ring_buffer;

struct ring_buffer;  // libbpf's

namespace tokenwatch {

// Descriptors of the kernel maps behind it, and the ring's size.
struct RingMaps {
  int segments = -1, control = -1;
  uint32_t bytes = 0;
};

// Used on one thread, AddCounters on any.
class RingReader : public SegmentSource {
 public:
  // `maps` stay open as long as this lives. `wipe` has the kernel write zeros over a part of the
  // ring (CaptureControl::WipeRing). Creating needs the capabilities that bpf(2) asks for, using
  // needs none.
  static absl::StatusOr<std::unique_ptr<RingReader>> Create(const RingMaps& maps,
                                                            std::function<bool()> wipe);
  ~RingReader() override;

  // Poll returns at once while this descriptor can be read, or its other end is closed.
  absl::Status WakeOn(int fd);

  // Delivers what is there. Under traffic it collects for kDrainMs before it looks; without traffic
  // it asks the programs to wake it and sleeps up to `timeout_ms`. Returns the number of segments.
  absl::StatusOr<int> Poll(int timeout_ms, SegmentHandler handler) override;

  // Where bytes were read and nothing has come for a while, has the kernel write zeros over the
  // whole ring, so that no consumed byte stays readable.
  void WipeIfIdle(SegmentHandler handler);

  // CLOCK_MONOTONIC, ns: all that the programs had submitted by then has been delivered. 0 before
  // the first such moment.
  uint64_t delivered_until_ns() const { return delivered_until_ns_; }

  void AddCounters(Counters* counters) const;

 private:
  static constexpr int kDrainMs = 10;

  RingReader(uint32_t ring_bytes, std::function<bool()> wipe)
      : ring_bytes_(ring_bytes), wipe_(std::move(wipe)) {}
  int Drain(SegmentHandler handler);
  int OnRecord(void* data, size_t size);
  void SetSleeping(bool sleeping);

  const uint32_t ring_bytes_;
  const std::function<bool()> wipe_;
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
