// The trial of the kernel's return probes: what it finds here, and that it finds harm.
#include "agent/capture/return_probe_check.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>

#include "absl/time/clock.h"

namespace tokenwatch {
namespace {

struct TrialCase {
  const char* name;
  InsideTrial inside;
  absl::Duration patience;
  const char* harm;
};

void PrintTo(const TrialCase& one, std::ostream* out) { *out << one.name; }

class ReturnProbeTrial : public testing::TestWithParam<TrialCase> {};

// As where the filter sees the system call by which the probe is left.
void CallUnknown() { syscall(SYS_getppid); }
void Crash() { __builtin_trap(); }
void Hang() {
  while (true) asm volatile("pause");
}

TEST_P(ReturnProbeTrial, TellsHowItEnded) {
  if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: root";
  if (access("/sys/bus/event_source/devices/uprobe/type", R_OK) != 0) {
    GTEST_SKIP() << "SKIPPED: uprobe";
  }
  const TrialCase& one = GetParam();
  const absl::Time begun = absl::Now();
  EXPECT_EQ(HarmOfReturnProbes(one.inside, one.patience), one.harm);
  EXPECT_LT(absl::Now() - begun, absl::Seconds(20));
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child was left";
  EXPECT_EQ(errno, ECHILD);
}

// The first is right for every kernel that CI runs; one that fails it does harm.
INSTANTIATE_TEST_SUITE_P(
    All, ReturnProbeTrial,
    testing::Values(TrialCase{"lives", NothingInside, absl::Seconds(20), ""},
                    TrialCase{"killed", CallUnknown, absl::Seconds(20),
                              "they kill programs that seccomp confines, by signal 31"},
                    TrialCase{"crashed", Crash, absl::Seconds(20),
                              "they kill programs that seccomp confines, by signal 4"},
                    TrialCase{"hangs", Hang, absl::Milliseconds(200),
                              "a program that seccomp confines did not come back from one"}),
    [](const testing::TestParamInfo<TrialCase>& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace tokenwatch
