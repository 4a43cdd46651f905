#include "agent/broker/worker_process.h"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/common/exit_status.h"

namespace tokenwatch {

void DieWithBroker(pid_t broker) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // It ended before that.
  if (getppid() != broker) _exit(kExitNothing);
}

// By the descriptor: the number may be another process's by now.
void KillWorker(const Forked& side) {
  syscall(SYS_pidfd_send_signal, side.exited.get(), SIGKILL, nullptr, 0);
}

absl::StatusOr<Forked> ForkWorker() {
  absl::StatusOr<std::pair<Channel, Channel>> life = Channel::Pair();
  absl::StatusOr<std::pair<Channel, Channel>> urgent = Channel::Pair();
  absl::StatusOr<std::pair<Channel, Channel>> other = Channel::Pair();
  for (const auto* pair : {&life, &urgent, &other}) {
    if (!pair->ok()) return pair->status();
  }
  const pid_t broker = getpid();
  const pid_t worker = fork();
  if (worker < 0) return absl::ErrnoToStatus(errno, "starting the worker process");
  if (worker == 0) {
    DieWithBroker(broker);
    // The other ends close with the pairs, so that the broker's end is seen.
    return Forked{{std::move(life->second), std::move(urgent->second), std::move(other->second)}};
  }
  // glibc has a wrapper from 2.36 on only.
  UniqueFd exited(static_cast<int>(syscall(SYS_pidfd_open, worker, 0)));
  if (!exited.valid()) return absl::ErrnoToStatus(errno, "watching the worker process");
  return Forked{{std::move(life->first), std::move(urgent->first), std::move(other->first)},
                worker,
                std::move(exited)};
}

std::optional<std::string> WaitForWorker(pid_t worker, int* exit_status) {
  int status = 0;
  while (waitpid(worker, &status, 0) < 0) {
    if (errno != EINTR) return absl::StrCat("the worker process is lost: ", strerror(errno));
  }
  if (WIFEXITED(status)) {
    *exit_status = WEXITSTATUS(status);
    return std::nullopt;
  }
  const int signal = WTERMSIG(status);
  return absl::StrCat("the worker process was killed by signal ", signal, " (", strsignal(signal),
                      ")",
                      signal == SIGSYS ? ": it made a system call that its seccomp filter forbids, "
                                         "which is a bug or an attack"
                                       : "");
}

}  // namespace tokenwatch
