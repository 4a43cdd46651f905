// The client's commands that ask the collector.
#ifndef TOKENWATCH_COLLECTOR_CLI_COMMANDS_H_
#define TOKENWATCH_COLLECTOR_CLI_COMMANDS_H_

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "collector/cli/client.h"
#include "collector/cli/printer.h"

namespace tokenwatch {

struct Filters {
  std::string since, until, token, host, provider, workload, endpoint, status, direction, trait,
      user, owner, rule, severity, state;
  uint32_t limit = 100;  // 0: all
};

struct CliOptions {
  Server server;
  OutputOptions output;
  Filters filters;
};

// Each command writes to `*out`; NotFound where there is nothing to show, else the client's errors.
absl::Status ListTokens(const CliOptions& options, std::ostream* out);
absl::Status ShowToken(const CliOptions& options, const std::string& id, std::ostream* out);
absl::Status ListUses(const CliOptions& options, std::ostream* out);
absl::Status ListAgents(const CliOptions& options, std::ostream* out);
// TLS connections by program and how many were seen, the most dark first; the limit is of programs.
// A table ends in a sentence about all of them.
absl::Status ListCoverage(const CliOptions& options, std::ostream* out);

absl::Status ListFindings(const CliOptions& options, std::ostream* out);
// One finding, for a person who has to act on it.
absl::Status ShowFinding(const CliOptions& options, const std::string& id, std::ostream* out);
// Who owns tokens under the collector's policy.
absl::Status ListOwners(const CliOptions& options, std::ostream* out);
// The collector's policy, detection and receivers; NotFound where a file of theirs has problems
// now.
absl::Status ShowPolicy(const CliOptions& options, std::ostream* out);
// Reads policy files as a collector would, and asks none. Every problem is a line "file:line: what"
// on `*problems`; NotFound where there is one.
absl::Status CheckPolicy(const CliOptions& options, const std::vector<std::string>& files,
                         std::ostream* out, std::ostream* problems);

// Prints a token's totals and where it is used, as GET /v1/tokens/{id} answered.
void PrintToken(const CliOptions& options, const Json& detail, std::ostream* out);

struct TailOptions {
  absl::Duration pause = absl::Milliseconds(500);  // between looks that find nothing
  absl::Duration patience = absl::Seconds(60);     // with a server that was reached and is gone
  uint64_t looks = 0;                              // to end after; 0: never
  std::function<void(const std::string&)> notice;  // says something to the person; may be empty
  // Where the stream goes on, written behind what was shown; empty: nowhere. With such a file
  // nothing is missed between two runs, and what a crash kept from being noted is shown twice.
  std::string cursor_file;
};

// Shows uses as they are committed, each once and none missed, also those of an agent's backlog.
// With `filters.since`, first those since then that are there already. Ends with OK after
// `filters.limit` uses (0: never), or once writing fails. A server that goes away is asked again
// until patience ends; nothing is missed by that.
absl::Status TailUses(const CliOptions& options, const TailOptions& tail, std::ostream* out);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_COMMANDS_H_
