// `tokenwatch who`: from a secret to where it is used.
#ifndef TOKENWATCH_COLLECTOR_CLI_WHO_H_
#define TOKENWATCH_COLLECTOR_CLI_WHO_H_

#include <functional>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "collector/cli/commands.h"

namespace tokenwatch {

struct WhoOptions {
  std::string agent;     // unix:PATH of the agent's --fingerprint-listen
  std::string key_file;  // or the fleet key itself
  // Says something to the person; may be empty.
  std::function<void(const std::string&)> notice = {};
};

// The secret on `in_fd` (one line, not echoed, where that is a terminal; read as ReadPasted does)
// is reduced to its ids by the agent or under the key file, and its token looked up. Only an id is
// sent to the collector. What of a longer input was looked up is told by `notice`. Where the token
// was never seen, or the collector cannot answer, the ids are printed and the status is NotFound,
// or the client's. A key that no agent reports under is named: under it nothing can be found.
absl::Status Who(const CliOptions& options, const WhoOptions& who, int in_fd, std::ostream* out);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_WHO_H_
