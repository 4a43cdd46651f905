// What an answer's status says about a request (design: Use and volume).
#ifndef TOKENWATCH_COLLECTOR_STORE_OUTCOME_H_
#define TOKENWATCH_COLLECTOR_STORE_OUTCOME_H_

#include <cstdint>

namespace tokenwatch {

enum class Outcome { kOk, kDenied, kThrottled, kFailed, kUnanswered };

// `status` is an HTTP status, 0 where no answer was seen.
Outcome Classify(uint32_t status);

// "ok", "denied", "throttled", "failed" or "unanswered".
const char* OutcomeName(Outcome outcome);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_OUTCOME_H_
