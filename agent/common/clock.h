// The clocks of this machine, and one that stands still for tests.
#ifndef TOKENWATCH_AGENT_COMMON_CLOCK_H_
#define TOKENWATCH_AGENT_COMMON_CLOCK_H_

#include <cstdint>
#include <mutex>

#include "absl/time/time.h"

namespace tokenwatch {

// Turns the kernel's times into wall time. Any thread.
//
// A time is converted with the difference between the clocks at the conversion, not at the event:
// when the wall clock is stepped, what is converted afterwards is what a clock that had always been
// right would have shown. Times of one clock keep their order as long as the clock is not stepped.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
  virtual uint64_t MonotonicNs() const = 0;  // CLOCK_MONOTONIC
  virtual absl::Time FromMonotonic(uint64_t mono_ns) const = 0;
  virtual absl::Time FromBoot(uint64_t boot_ns) const = 0;  // CLOCK_BOOTTIME
};

class RealClock : public Clock {
 public:
  absl::Time Now() const override;
  uint64_t MonotonicNs() const override;
  absl::Time FromMonotonic(uint64_t mono_ns) const override;
  absl::Time FromBoot(uint64_t boot_ns) const override;

 private:
  // Wall time at zero of another clock. Measured anew at each use but kept until it has changed by
  // more than measuring it can: the kernel slews all its clocks alike, so it changes only when the
  // wall clock is stepped or, for CLOCK_MONOTONIC, the machine slept.
  struct Offset {
    bool known = false;
    int64_t ns = 0;
  };
  absl::Time Convert(int clock, Offset* offset, uint64_t ns) const;

  mutable std::mutex mutex_;
  mutable Offset monotonic_;
  mutable Offset boot_;
};

// Boot and monotonic clock agree; `boot_time` is wall time at their zero.
class FakeClock : public Clock {
 public:
  explicit FakeClock(absl::Time boot_time) : boot_time_(boot_time) {}

  void Advance(absl::Duration by) { mono_ns_ += static_cast<uint64_t>(by / absl::Nanoseconds(1)); }
  void StepWall(absl::Duration by) { boot_time_ += by; }

  absl::Time Now() const override { return FromMonotonic(mono_ns_); }
  uint64_t MonotonicNs() const override { return mono_ns_; }
  absl::Time FromMonotonic(uint64_t mono_ns) const override {
    return boot_time_ + absl::Nanoseconds(static_cast<int64_t>(mono_ns));
  }
  absl::Time FromBoot(uint64_t boot_ns) const override { return FromMonotonic(boot_ns); }

 private:
  absl::Time boot_time_;
  uint64_t mono_ns_ = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_CLOCK_H_
