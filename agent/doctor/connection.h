// Connections that are tried and closed again.
#ifndef TOKENWATCH_AGENT_DOCTOR_CONNECTION_H_
#define TOKENWATCH_AGENT_DOCTOR_CONNECTION_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/capture/unique_fd.h"
#include "agent/common/address.h"

namespace tokenwatch {

// A stream that is connected and whose reads and writes end after `patience`, too; or an error
// whose text is a clause, "nobody listens there": PermissionDenied where this user may not connect,
// else Unavailable.
absl::StatusOr<UniqueFd> ConnectTo(const Address& address, absl::Duration patience);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_DOCTOR_CONNECTION_H_
