// Whom the worker runs as, and what it gives up.
#ifndef TOKENWATCH_AGENT_BROKER_WORKER_USER_H_
#define TOKENWATCH_AGENT_BROKER_WORKER_USER_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tokenwatch {

// The user of the packages.
inline constexpr char kDefaultWorkerUser[] = "tokenwatch-agent";

struct WorkerUser {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  bool is_asked_for = false;  // by name, not found by default
};

// The user named `wanted`; where that is empty, the packages' user, or this process's own where the
// system has no such user. InvalidArgument, with what to do, where `wanted` does not exist.
absl::StatusOr<WorkerUser> FindWorkerUser(const std::string& wanted);

// Makes the user the owner of the directory and of what is in it, one level of directories deep.
// What is neither a file with one name nor a directory is left alone: links in a directory that
// another user can write to must not lead a privileged process elsewhere.
absl::Status HandOver(int directory, const std::string& path, const WorkerUser& user);

// Three steps, in this order, to be taken before there is another thread. What could be had by
// running another program is given up while that is still allowed; this thread becomes the user, in
// no other group (PermissionDenied, with what to do, where it may not); and it loses the
// capabilities that it has.
void DropBoundingSet();
absl::Status BecomeUser(const WorkerUser& user);
void DropCapabilities();

// What this thread could still do: "none", or the sets that are not empty.
std::string RemainingCapabilities();

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_BROKER_WORKER_USER_H_
