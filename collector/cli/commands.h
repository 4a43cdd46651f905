// The client's commands.
#ifndef TOKENWATCH_COLLECTOR_CLI_COMMANDS_H_
#define TOKENWATCH_COLLECTOR_CLI_COMMANDS_H_

#include <cstdint>
#include <ostream>
#include <string>

#include "absl/status/statusor.h"
#include "collector/cli/client.h"

namespace tokenwatch {

struct Filters {
  std::string since, until, token, host, provider, workload, endpoint, status;
  uint32_t limit = 100;  // 0: all
};

struct CliOptions {
  std::string server = "http://127.0.0.1:7480";
  std::string output = "table";  // or json, one object a line; or csv
  Filters filters;
};

// Each command writes to `out` and returns the status to leave with: kExitOk or kExitNothing. Its
// errors are the client's.
absl::StatusOr<int> ListTokens(const CliOptions& options, std::ostream& out);
absl::StatusOr<int> ShowToken(const CliOptions& options, const std::string& id, std::ostream& out);
absl::StatusOr<int> ListUses(const CliOptions& options, std::ostream& out);
absl::StatusOr<int> ListAgents(const CliOptions& options, std::ostream& out);

// Shows uses as they are committed, until writing fails or `polls` have been made (0: for ever).
// Uses that are more than a minute old when they arrive (the backlog of an agent that was cut off)
// are not shown: `uses` lists them.
absl::StatusOr<int> TailUses(const CliOptions& options, uint64_t polls, std::ostream& out);

struct WhoOptions {
  std::string agent;     // unix:PATH of the agent's --fingerprint-listen
  std::string key_file;  // or the fleet key itself
};

// The secret on `in` is reduced to its id by the agent or under the key file, and its token looked
// up. Only the id is sent to the collector. kExitNothing where it was never seen.
absl::StatusOr<int> Who(const CliOptions& options, const WhoOptions& who, int in_fd,
                        std::ostream& out);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_COMMANDS_H_
