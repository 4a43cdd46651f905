// What a check of the doctor says.
#ifndef TOKENWATCH_AGENT_DOCTOR_FINDING_H_
#define TOKENWATCH_AGENT_DOCTOR_FINDING_H_

#include <string>

#include "absl/status/status.h"

namespace tokenwatch {

enum class Verdict {
  kOk,
  kUnknown,   // could not be looked at
  kDegraded,  // the agent runs and misses something
  kFails,     // the agent does not start, reports nothing, or leaves out what it is told to do
};

struct Finding {
  Verdict verdict = Verdict::kOk;
  std::string what;             // what was looked at: "kernel 6.12.9", a path, an address
  std::string why;              // a clause; may be empty where all is well
  std::string remedy;           // what to do; empty where there is nothing
  bool is_unreachable = false;  // it fails because the collector cannot be reached
};

inline Finding Ok(std::string what, std::string why = "") {
  return {Verdict::kOk, std::move(what), std::move(why), ""};
}
inline Finding Unknown(std::string what, std::string why, std::string remedy) {
  return {Verdict::kUnknown, std::move(what), std::move(why), std::move(remedy)};
}
inline Finding Degraded(std::string what, std::string why, std::string remedy) {
  return {Verdict::kDegraded, std::move(what), std::move(why), std::move(remedy)};
}
inline Finding Fails(std::string what, std::string why, std::string remedy) {
  return {Verdict::kFails, std::move(what), std::move(why), std::move(remedy)};
}

// OK, or the agent's own sentence, "what is wrong: what to do", as a finding.
Finding FromStatus(std::string what, const absl::Status& status, Verdict verdict = Verdict::kFails);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_DOCTOR_FINDING_H_
