// How long to wait before the next attempt.
#ifndef TOKENWATCH_AGENT_REPORT_BACKOFF_H_
#define TOKENWATCH_AGENT_REPORT_BACKOFF_H_

#include <cstdint>
#include <random>

#include "absl/time/time.h"

namespace tokenwatch {

struct BackoffOptions {
  absl::Duration initial = absl::Milliseconds(200);
  absl::Duration max = absl::Seconds(15);
};

// Doubles from attempt to attempt; each delay is drawn from the upper half, so that agents that
// lost one collector at once do not come back at once. Not thread safe.
class Backoff {
 public:
  Backoff(const BackoffOptions& options, uint64_t seed) : options_(options), random_(seed) {}

  absl::Duration Next();
  void Reset() { attempts_ = 0; }

 private:
  const BackoffOptions options_;
  std::mt19937_64 random_;
  int attempts_ = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_BACKOFF_H_
