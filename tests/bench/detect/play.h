// Gives traffic to a detection engine as time goes on, and its findings to the judge.
#ifndef TOKENWATCH_TESTS_BENCH_DETECT_PLAY_H_
#define TOKENWATCH_TESTS_BENCH_DETECT_PLAY_H_

#include <cstdint>

#include "tests/bench/detect/judge.h"
#include "tests/bench/detect/traffic.h"

namespace tokenwatch {

// Where nothing happens for longer, time jumps.
inline constexpr int64_t kLongestSilenceUs = 60 * kDayUs;

// `Detector`: Engine, or what has its Judge, AdvanceTo and TakeFindings.
template <typename Detector>
void Play(const Traffic& traffic, Detector* detector, Judge* judge) {
  // What is told is taken at once, for its delay; what only gained evidence each hour.
  const auto take = [&](int64_t now_us, bool joined) {
    for (const StoredFinding& finding : detector->TakeFindings(joined)) {
      judge->Take(finding, now_us);
    }
  };
  int64_t hour = traffic.uses().empty() ? 0 : traffic.uses().front().time_us / kHourUs + 1;
  for (size_t i = 0; i < traffic.uses().size(); ++i) {
    const int64_t time = traffic.uses()[i].time_us;
    if (time - hour * kHourUs > kLongestSilenceUs) hour = time / kHourUs;
    for (; hour * kHourUs <= time; ++hour) {
      detector->AdvanceTo(hour * kHourUs);
      take(hour * kHourUs, true);
    }
    detector->Judge(traffic.At(i));
    take(time, false);
  }
  if (traffic.uses().empty()) return;
  detector->AdvanceTo(hour * kHourUs);
  take(hour * kHourUs, true);
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BENCH_DETECT_PLAY_H_
