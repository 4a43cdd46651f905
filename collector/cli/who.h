// `tokenwatch who`: from a secret to where it is used.
#ifndef TOKENWATCH_COLLECTOR_CLI_WHO_H_
#define TOKENWATCH_COLLECTOR_CLI_WHO_H_

#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "collector/cli/commands.h"

namespace tokenwatch {

struct WhoOptions {
  std::string agent;     // unix:PATH of the agent's --fingerprint-listen
  std::string key_file;  // or the fleet key itself
};

// The secret on `in_fd` (one line, not echoed, where that is a terminal) is reduced to its ids by
// the agent or under the key file, and its token looked up. Only an id is sent to the collector.
// Where the token was never seen, or the collector cannot answer, the ids are printed and the
// status is NotFound, or the client's.
absl::Status Who(const CliOptions& options, const WhoOptions& who, int in_fd, std::ostream* out);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_WHO_H_
