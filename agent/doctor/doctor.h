// `tokenwatch-agent doctor`: what works on this host, what does not, and what to do about it.
#ifndef TOKENWATCH_AGENT_DOCTOR_DOCTOR_H_
#define TOKENWATCH_AGENT_DOCTOR_DOCTOR_H_

#include <cstddef>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "agent/doctor/check.h"

namespace tokenwatch {

struct CheckResult {
  std::string check;
  std::vector<Finding> findings;
};

// Runs every check, in the order of their table.
std::vector<CheckResult> Examine(const DoctorOptions& options, const DoctorHost& host);

// 0 where nothing fails; 3 where all that fails is that the collector cannot be reached; else 1.
int ExitStatusOf(const std::vector<CheckResult>& results);

// A line a finding, `ok | unknown | degraded | fails  check  what: why; what to do`, folded at
// `width` columns (at least 40). What may come from others, the names of programs and files, is
// shown without control characters.
void PrintText(const std::vector<CheckResult>& results, size_t width, std::ostream* out);

// One object: {"status", "checks": [{"check", "status", "what", "why", "remedy"}]}.
void PrintJson(const std::vector<CheckResult>& results, std::ostream* out);

// For main: examines this host, prints, and returns the exit status.
int RunDoctor(const DoctorOptions& options, bool json, std::ostream* out);

// For `--check`: the first address that the agent is told to listen on and that another program
// has; OK where there is none.
absl::Status CheckAddressesFree(const DoctorOptions& options);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_DOCTOR_DOCTOR_H_
