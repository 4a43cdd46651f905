// What messages say of a finding beyond its own texts.
#ifndef TOKENWATCH_COLLECTOR_NOTIFY_FINDING_WORDS_H_
#define TOKENWATCH_COLLECTOR_NOTIFY_FINDING_WORDS_H_

#include <string>

#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

// The newest of its evidence: "DELETE api.example/v1/users by /opt/job.py (pid 4711, deploy) on
// web-1, answered 403". Empty where it has none. Not safe to show as it is.
std::string NewestUseText(const v1::Finding& finding);
// The machine of that use.
std::string MachineOf(const v1::Finding& finding);

// "api-only (hosts)"; empty where it is about no rule of the policy.
std::string PolicyText(const v1::Finding& finding);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_NOTIFY_FINDING_WORDS_H_
