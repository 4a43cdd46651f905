// What an answer says about a request (design: Use and volume).
#ifndef TOKENWATCH_COLLECTOR_STORE_OUTCOME_H_
#define TOKENWATCH_COLLECTOR_STORE_OUTCOME_H_

#include <cstdint>

namespace tokenwatch {

enum class Outcome { kOk, kDenied, kThrottled, kFailed, kUnanswered };

// An answer as one number: its HTTP status, 0 where none was seen, and of a gRPC call 1,000 times
// its status plus one besides. `grpc_status` is that status plus one, 0 where it is no gRPC call.
constexpr uint32_t AnswerCode(uint32_t http_status, uint32_t grpc_status) {
  return grpc_status * 1000 + http_status;
}
constexpr uint32_t HttpStatusOf(uint32_t code) { return code % 1000; }
constexpr uint32_t GrpcStatusOf(uint32_t code) { return code / 1000; }

Outcome Classify(uint32_t code);

// "ok", "denied", "throttled", "failed" or "unanswered".
const char* OutcomeName(Outcome outcome);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_OUTCOME_H_
