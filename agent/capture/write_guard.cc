#include "agent/capture/write_guard.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>
#include <utility>

namespace tokenwatch {
namespace {

constexpr timespec kAgain = {0, 20'000'000};
// Signals that come while one is pending are one; this is for the case that one is lost all the
// same.
constexpr timespec kIdle = {1, 0};

}  // namespace

WriteGuard::WriteGuard(absl::AnyInvocable<bool()> on_writer)
    : on_writer_(std::move(on_writer)), thread_([this] { Run(); }) {
  started_.WaitForNotification();
}

WriteGuard::~WriteGuard() {
  is_over_ = true;
  syscall(SYS_tgkill, getpid(), thread_id_, SIGIO);
  thread_.join();
}

bool WriteGuard::Guard(int fd) const {
  // To the thread, which blocks the signal; elsewhere it would end the process.
  const f_owner_ex owner = {F_OWNER_TID, thread_id_};
  return fcntl(fd, F_SETOWN_EX, &owner) == 0 && fcntl(fd, F_SETLEASE, F_RDLCK) == 0;
}

bool WriteGuard::IsAwaited(int fd) { return fcntl(fd, F_GETLEASE) == F_UNLCK; }

void WriteGuard::Release(int fd) { fcntl(fd, F_SETLEASE, F_UNLCK); }

void WriteGuard::Run() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGIO);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  thread_id_ = static_cast<int>(syscall(SYS_gettid));
  started_.Notify();
  bool again = false;
  while (!is_over_) {
    sigtimedwait(&signals, nullptr, again ? &kAgain : &kIdle);
    if (!is_over_) again = on_writer_();
  }
}

}  // namespace tokenwatch
