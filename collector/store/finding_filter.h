// What every store says of findings alike: what they are about, how they stand, which a filter
// takes.
#ifndef TOKENWATCH_COLLECTOR_STORE_FINDING_FILTER_H_
#define TOKENWATCH_COLLECTOR_STORE_FINDING_FILTER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "collector/store/detection_store.h"
#include "collector/store/filter.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

// InvalidArgument where a commit holds what no store can keep: an id that is no finding's, a
// severity or state that is none, a name that is empty or too long.
absl::Status CheckDetectionCommit(const DetectionCommit& commit);

// A page of findings ends before this, of protobuf's bytes, unless it has one finding only: what a
// gRPC client takes by itself is 4 MiB.
inline constexpr size_t kFindingPageBytes = size_t{3} << 20;

// InvalidArgument where the request has a filter that does not choose among findings.
absl::Status CheckFindingFilters(const v1::ListRequest& request);

// The 16 bytes of a finding's id; InvalidArgument where it is none.
absl::StatusOr<std::string> ReadFindingId(const std::string& text);
absl::Status NoSuchFinding(const std::string& finding_id);
// Of CountOpenFindings.
absl::Status NoSuchCount(const std::string& by);

// Last evidence, in microseconds since the epoch.
int64_t LastSeenMicros(const v1::Finding& finding);

// "open", "suppressed" or "closed", at `now_us`.
const char* FindingState(absl::string_view stored, int64_t last_seen_us, int64_t now_us);

// The 16 bytes of its token and credential, and of those of its evidence.
absl::btree_set<std::string> FindingSubjects(const v1::Finding& finding);

// Whether the filter takes a finding that tells its state as of now. Its token is not compared.
bool MatchesFinding(const Filter& filter, const v1::Finding& finding);

// "none" means that nobody owns it.
bool MatchesOwner(const Filter& filter, absl::string_view owner);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_FINDING_FILTER_H_
