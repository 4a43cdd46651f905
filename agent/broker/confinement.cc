#include "agent/broker/confinement.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/broker/seccomp_filter.h"
#include "agent/broker/worker_process.h"

namespace tokenwatch {

absl::StatusOr<WorkerStatus> Confine(const WorkerUser& user, const LandlockOptions& landlock) {
  WorkerStatus worker;
  const auto degrade = [&worker](const char* mode, absl::string_view why) {
    worker.degraded.push_back(absl::StrCat(mode, ": ", why));
  };
  const absl::StatusOr<Landlock> rules = Landlock::Create(landlock);
  const pid_t broker = getppid();

  DropBoundingSet();
  if (absl::Status status = BecomeUser(user); !status.ok()) {
    if (user.is_asked_for) return status;
    degrade("user-kept", status.message());
  }
  worker.uid = geteuid();
  worker.user = worker.uid == user.uid ? user.name : absl::StrCat(worker.uid);
  if (worker.uid == 0) {
    degrade("user-root",
            "the worker has no user of its own: root's files are kept from it by Landlock alone; "
            "make the user tokenwatch-agent, or name one with --worker-user");
  }
  DropCapabilities();
  // Becoming another user made it dumpable again as fs.suid_dumpable has it.
  prctl(PR_SET_DUMPABLE, 0);
  // So it did to the bond (commit_creds); the filter lets nobody loosen it again.
  DieWithBroker(broker);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

  absl::Status status = rules.ok() ? rules->Enforce() : rules.status();
  if (status.ok()) {
    worker.landlock = rules->abi();
  } else {
    degrade("landlock-absent", status.message());
  }
  status = EnforceSeccompFilter();
  if (!status.ok()) degrade("seccomp-absent", status.message());

  worker.pid = static_cast<uint32_t>(getpid());
  worker.no_new_privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
  worker.seccomp = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2;  // SECCOMP_MODE_FILTER
  worker.capabilities = RemainingCapabilities();
  if (worker.capabilities != "none") {
    degrade("capabilities-kept",
            absl::StrCat(worker.capabilities,
                         ": grant CAP_SETPCAP to the agent's service, with which it drops them"));
  }
  return worker;
}

}  // namespace tokenwatch
