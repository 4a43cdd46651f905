// Findings and uses as events of the Open Cybersecurity Schema Framework, for SIEMs.
#ifndef TOKENWATCH_COLLECTOR_NOTIFY_OCSF_H_
#define TOKENWATCH_COLLECTOR_NOTIFY_OCSF_H_

#include <cstdint>
#include <string_view>

#include "collector/json/json.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

// The version whose attributes are used.
inline constexpr std::string_view kOcsfVersion = "1.5.0";

// A Detection Finding (class 2004). `key` is the delivery's and becomes metadata.uid, so that one
// that is sent twice is known again. What is only ours is in `unmapped`.
Json OcsfOfFinding(const v1::Finding& finding, std::string_view key);

// An API Activity (class 6003); metadata.uid is "agent/stream/sequence", which no other use has.
// Of an outbound use the workload is the actor. Of an inbound one it is the service that was called
// (`device`), and nothing but its address and user agent is known of the actor.
Json OcsfOfUse(const v1::Use& use);

// A Base Event (class 0) that says that so many uses are missing from a stream of them: retention
// dropped them before they were read. `key` becomes metadata.uid.
Json OcsfOfGap(uint64_t dropped, std::string_view key, int64_t time_us);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_NOTIFY_OCSF_H_
