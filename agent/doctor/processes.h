// The processes that a check may look at, as /proc shows them.
#ifndef TOKENWATCH_AGENT_DOCTOR_PROCESSES_H_
#define TOKENWATCH_AGENT_DOCTOR_PROCESSES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/doctor/check.h"

namespace tokenwatch {

// Those of the scope: nobody else's files are opened. Empty, with a clause in `*why`, where the
// scope is of a kind that is not followed here.
std::vector<uint32_t> ProcessesInScope(const DoctorContext& context, std::string* why);

// The name by which the process goes, or "".
std::string CommandOf(const DoctorHost& host, uint32_t pid);

// The process that has the socket with this inode number open; NotFound where none has it,
// PermissionDenied where one may have it whose files this user may not see.
absl::StatusOr<uint32_t> OwnerOfSocket(const DoctorHost& host, uint64_t inode);

// "nginx (process 12)", or "another program".
std::string NameOfProcess(const DoctorHost& host, std::optional<uint32_t> pid);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_DOCTOR_PROCESSES_H_
