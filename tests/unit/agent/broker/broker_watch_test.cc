#include "agent/broker/broker_watch.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace tokenwatch {
namespace {

TEST(BrokerWatchTest, SeesTheEndOfAProcessUntilItIsForgotten) {
  const pid_t child = fork();
  if (child == 0) {
    while (true) pause();
  }
  ASSERT_GT(child, 0);
  absl::StatusOr<BrokerWatch> first = BrokerWatch::Open(child);
  absl::StatusOr<BrokerWatch> second = BrokerWatch::Open(child);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_FALSE(first->IsEnding());
  EXPECT_FALSE(first->IsEnding());

  ASSERT_EQ(kill(child, SIGKILL), 0);
  siginfo_t info = {};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_TRUE(first->IsEnding());
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(first->IsEnding());
  EXPECT_TRUE(second->IsEnding());
}

TEST(BrokerWatchTest, AProcessThatIsNotThereIsAnError) {
  EXPECT_EQ(BrokerWatch::Open(0x7fffffff).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace tokenwatch
