#include "agent/broker/worker_process.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "agent/broker/confinement.h"

namespace tokenwatch {
namespace {

constexpr int kPatienceMs = 10'000;
constexpr unsigned kGiveUpSeconds = 60;  // what nobody kills ends all the same
constexpr uid_t kSomebody = 54321;

TEST(WorkerProcessTest, WhatIsKilledIsToldAsKilled) {
  const absl::StatusOr<Forked> forked = ForkWorker();
  ASSERT_TRUE(forked.ok()) << forked.status();
  if (forked->worker == 0) {
    alarm(kGiveUpSeconds);
    while (true) poll(nullptr, 0, -1);
  }
  KillWorker(*forked);
  int exit_status = 0;
  const std::optional<std::string> how = WaitForWorker(forked->worker, &exit_status);
  ASSERT_TRUE(how.has_value());
  EXPECT_NE(how->find("killed by signal 9"), std::string::npos) << *how;
  KillWorker(*forked);  // hits nobody
}

// It holds a pipe open, and does nothing that would tell it of its broker's end.
[[noreturn]] void BeAWorker(int ready) {
  alarm(kGiveUpSeconds);
  WorkerUser user;
  user.name = "somebody";
  user.uid = geteuid() == 0 ? kSomebody : geteuid();
  user.gid = geteuid() == 0 ? kSomebody : getegid();
  const bool is_confined = Confine(user, {}).ok();
  if (write(ready, is_confined ? "y" : "n", 1) != 1) _exit(1);
  while (true) poll(nullptr, 0, -1);
}

TEST(WorkerProcessTest, AConfinedOneDiesWithItsBroker) {
  int ends[2], told[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(pipe(told), 0);
  const pid_t broker = fork();
  if (broker == 0) {
    close(ends[0]);
    const absl::StatusOr<Forked> forked = ForkWorker();
    if (!forked.ok()) _exit(1);
    if (forked->worker == 0) BeAWorker(ends[1]);
    char byte = 0;
    if (read(told[0], &byte, 1) != 1) _exit(1);
    _exit(0);
  }
  const UniqueFd mine(ends[0]), tell(told[1]), asked(told[0]);
  close(ends[1]);
  char byte = 0;
  ASSERT_EQ(read(mine.get(), &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  ASSERT_EQ(write(tell.get(), "x", 1), 1);
  int status = 0;
  ASSERT_EQ(waitpid(broker, &status, 0), broker);
  EXPECT_EQ(status, 0);
  pollfd end = {.fd = mine.get(), .events = 0, .revents = 0};
  EXPECT_EQ(poll(&end, 1, kPatienceMs), 1) << "the worker lives on";
}

}  // namespace
}  // namespace tokenwatch
