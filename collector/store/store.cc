#include "collector/store/store.h"

#include "collector/store/outcome.h"

namespace tokenwatch {

namespace {

// gRPC's own statuses; every other one but 0 is a failure.
constexpr struct {
  uint32_t status;
  Outcome outcome;
} kGrpcOutcomes[] = {
    {0, Outcome::kOk},
    {7, Outcome::kDenied},     // PERMISSION_DENIED
    {8, Outcome::kThrottled},  // RESOURCE_EXHAUSTED
    {16, Outcome::kDenied},    // UNAUTHENTICATED
};

Outcome ClassifyGrpc(uint32_t status) {
  for (const auto& row : kGrpcOutcomes) {
    if (row.status == status) return row.outcome;
  }
  return Outcome::kFailed;
}

}  // namespace

Outcome Classify(uint32_t code) {
  const uint32_t status = HttpStatusOf(code);
  // A gRPC call answers 200; with another status something before its server did.
  if (code >= 1000 && status < 300) return ClassifyGrpc(code / 1000 - 1);
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

const char* OutcomeOf(uint32_t code) { return OutcomeName(Classify(code)); }

}  // namespace tokenwatch
