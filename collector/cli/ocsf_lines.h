// Uses for SIEMs.
#ifndef TOKENWATCH_COLLECTOR_CLI_OCSF_LINES_H_
#define TOKENWATCH_COLLECTOR_CLI_OCSF_LINES_H_

#include <string>

#include "absl/status/statusor.h"
#include "collector/cli/client.h"

namespace tokenwatch {

// A use as the API has it, as one line of OCSF (collector/notify/ocsf.h) in ASCII, without its end.
// Unavailable where it is no use as a collector of ours sends it.
absl::StatusOr<std::string> OcsfLine(const Json& use);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_OCSF_LINES_H_
