// The time by which a store drops what is old: the wall clock's, unless that has just stepped.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_TRUSTED_CLOCK_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_TRUSTED_CLOCK_H_

#include <cstdint>
#include <optional>

namespace tokenwatch::sqlite {

// A wall clock that jumps ten years ahead must not empty a store, nor one that jumps back make its
// new uses look expired. A step of more than two days is believed once the process has run for a
// day with it; until then time passes as the monotonic clock has it. Where the last time is kept in
// the database this holds over restarts: there a long stop looks like a step, and what is old stays
// a day longer.
//
// Times are in microseconds, since the epoch or whatever the monotonic clock begins with. Not
// thread safe.
class TrustedClock {
 public:
  static constexpr int64_t kStepMicros = 2 * 24 * 3600 * int64_t{1'000'000};
  static constexpr int64_t kHoldMicros = 24 * 3600 * int64_t{1'000'000};

  // The time that was trusted when it was last written down, by an earlier process.
  void Resume(int64_t trusted_us) { trusted_us_ = trusted_us; }

  // The time to go by. The first reading without Resume is believed.
  int64_t Read(int64_t wall_us, int64_t monotonic_us);

  // As of the last reading: how far the wall clock is ahead of it (or behind, below zero); 0 where
  // it is believed.
  int64_t StepMicros() const { return step_us_; }

 private:
  std::optional<int64_t> trusted_us_;
  std::optional<int64_t> read_at_us_;  // monotonic
  int64_t step_us_ = 0;
  int64_t stepped_at_us_ = 0;  // monotonic; while there is a step
};

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_TRUSTED_CLOCK_H_
