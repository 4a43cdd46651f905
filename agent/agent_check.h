// What makes an agent's options wrong, as far as that shows without privileges.
#ifndef TOKENWATCH_AGENT_AGENT_CHECK_H_
#define TOKENWATCH_AGENT_AGENT_CHECK_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/agent.h"
#include "agent/capture/capture.h"
#include "agent/token/formats/formats.h"
#include "agent/token/secret/fleet_key.h"

namespace tokenwatch {

// At least one key.
absl::StatusOr<std::vector<FleetKey>> LoadKeys(const std::vector<std::string>& files);

// The file `enrol-secret` of systemd's credentials for this service; empty where there is none, or
// where it holds no more than a line break.
std::string SystemdEnrolSecret();

// The collector's addresses, left alone in the kernel; nothing where it is a Unix socket, or where
// its name cannot be resolved now.
absl::StatusOr<std::vector<ExcludedAddress>> CollectorAddresses(const std::string& collector);

// Which formats and hosts of the user are refused, and why; the agent runs without these. OK where
// none is.
absl::Status CheckFormats(const FormatOptions& options);

// What to think of where the rules of --cookies name every cookie; empty where they do not.
std::string WarningOfCookies(const std::vector<std::string>& rules);

// The sentences with which Agent::Create would refuse these options. Nothing is made or changed.
absl::Status CheckAgentOptions(const AgentOptions& options);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_AGENT_CHECK_H_
