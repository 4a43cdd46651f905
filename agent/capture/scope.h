// The cgroups that are watched.
#ifndef TOKENWATCH_AGENT_CAPTURE_SCOPE_H_
#define TOKENWATCH_AGENT_CAPTURE_SCOPE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/capture/unique_fd.h"

namespace tokenwatch {

inline constexpr size_t kMaxScopes = 64;  // of the map tw_scope

// The directories, opened, in their order. Errors are sentences: InvalidArgument where there are
// too many or one is of no cgroup2 mount, NotFound where one cannot be opened.
absl::StatusOr<std::vector<UniqueFd>> OpenScope(const std::vector<std::string>& cgroups);

// What OpenScope would say.
absl::Status CheckScope(const std::vector<std::string>& cgroups);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_SCOPE_H_
