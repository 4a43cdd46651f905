#include "collector/store/store.h"

#include "collector/store/outcome.h"

namespace tokenwatch {

Outcome Classify(uint32_t status) {
  switch (status) {
    case 0:
      return Outcome::kUnanswered;
    case 401:
    case 403:
    case 407:
      return Outcome::kDenied;
    case 429:
      return Outcome::kThrottled;
    default:
      return status >= 400 ? Outcome::kFailed : Outcome::kOk;
  }
}

const char* OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOk:
      return "ok";
    case Outcome::kDenied:
      return "denied";
    case Outcome::kThrottled:
      return "throttled";
    case Outcome::kFailed:
      return "failed";
    case Outcome::kUnanswered:
      return "unanswered";
  }
  return "ok";
}

const char* OutcomeOf(uint32_t status) { return OutcomeName(Classify(status)); }

}  // namespace tokenwatch
