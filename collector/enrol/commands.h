// What an operator does with the collector's keys: `init`, `enrol-secret`, `agents`, `credentials`
// `ca` and `fleet-key`. Each may run while the collector does.
#ifndef TOKENWATCH_COLLECTOR_ENROL_COMMANDS_H_
#define TOKENWATCH_COLLECTOR_ENROL_COMMANDS_H_

#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/common/clock.h"

namespace tokenwatch {

struct EnrolCommandOptions {
  std::string data_dir;
  std::string out_dir = "tokenwatch-handout";  // of init
  std::string out_file;                        // empty: standard output
  std::vector<std::string> server_names;
  std::string lifetime = "24h";  // of an enrolment secret
  bool revoke_all = false;
  bool metrics_only = false;
  std::string name;   // of a credential
  std::string agent;  // id
};

// "90s", "15m", "24h" or "7d": more than none, at most ten years. InvalidArgument with an example.
absl::StatusOr<absl::Duration> ParseLifetime(const std::string& text);

// Runs the command of that name, outer words first ("agents revoke"). Writes to `*out` what a
// person needs to know, secrets only where `out_file` is empty. InvalidArgument is wrong use; every
// error is a sentence. As root it acts, in a data directory of another user, with that user's
// rights: for a process of one thread. Nothing that is there is ever overwritten, but a server's
// certificate whose names change and an enrolment secret's file whose secret has expired.
absl::Status RunEnrolCommand(const std::string& command, const EnrolCommandOptions& options,
                             const Clock& clock, std::ostream* out);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_ENROL_COMMANDS_H_
