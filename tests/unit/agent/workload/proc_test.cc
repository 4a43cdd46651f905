#include "agent/workload/proc.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/unit/agent/workload/fake_proc.h"

namespace tokenwatch {
namespace {

TEST(ProcReader, ReadsThisVeryProcess) {
  const LocalProcReader proc("/proc");
  const auto pid = static_cast<uint32_t>(getpid());
  const auto stat = proc.ReadStat(pid).value_or(ProcReader::Stat());
  EXPECT_EQ(stat.parent_pid, static_cast<uint32_t>(getppid()));
  EXPECT_GT(stat.start_ticks, 0u);
  EXPECT_EQ(proc.Uid(pid), getuid());
  EXPECT_EQ(proc.Link(pid, "exe"), std::filesystem::read_symlink("/proc/self/exe"));
  EXPECT_EQ(proc.Link(pid, "cwd"), std::filesystem::current_path());
  EXPECT_TRUE(proc.Exists(pid, "/proc"));
  EXPECT_FALSE(proc.Exists(pid, "/no/such/file"));
  const SecretBuffer arguments = proc.Arguments(pid);
  EXPECT_TRUE(arguments.view().ends_with('\0'));
  EXPECT_NE(arguments.view().find("workload_test"), std::string_view::npos);
}

TEST(ProcReader, ReadsNamesThatTryToConfuse) {
  FakeProc files;
  files.Stat(7, "a) S 99 (b", 5, 12345);
  files.Write(7, "status", "Name:\tUid: 9\nState:\tS\nUid:\t1000\t0\t0\t0\nGid:\t1\n");
  files.Write(7, "loginuid", "4294967295");
  files.Write(
      7, "cgroup",
      "12:memory:/m\n3:cpu,name=systemd:/wrong\n1:name=systemd:/s.slice\n0::/a:b (deleted)\n");
  files.Link(7, "exe", "/usr/bin/x (deleted)");
  const LocalProcReader proc(files.Root());
  const auto stat = proc.ReadStat(7).value_or(ProcReader::Stat());
  EXPECT_EQ(stat.parent_pid, 5u);
  EXPECT_EQ(stat.start_ticks, 12345u);
  EXPECT_EQ(proc.Uid(7), 1000u);
  EXPECT_EQ(proc.LoginUid(7), 4294967295u);
  EXPECT_EQ(proc.Cgroup(7, ""), "/a:b");
  EXPECT_EQ(proc.Cgroup(7, "name=systemd"), "/s.slice");
  EXPECT_EQ(proc.Cgroup(7, "cpu"), "");
  EXPECT_EQ(proc.Link(7, "exe"), "/usr/bin/x");
}

TEST(ProcReader, HasNoAnswerForWhatIsNotThere) {
  FakeProc files;
  files.Write(8, "stat", "8 (cut) S 1 2");
  files.Write(8, "status", "Uid:\tx\n");
  files.Write(8, "loginuid", "");
  files.Write(8, "cgroup", "nonsense\n\n:\n");
  const LocalProcReader proc(files.Root());
  for (const uint32_t pid : {8u, 9u}) {
    EXPECT_FALSE(proc.ReadStat(pid).has_value());
    EXPECT_EQ(proc.Uid(pid), std::nullopt);
    EXPECT_EQ(proc.LoginUid(pid), std::nullopt);
    EXPECT_EQ(proc.Cgroup(pid, ""), "");
    EXPECT_EQ(proc.Link(pid, "exe"), "");
    EXPECT_TRUE(proc.Arguments(pid).empty());
    EXPECT_EQ(proc.Comm(pid), "");
  }
}

TEST(ProcReader, BoundsTheArguments) {
  FakeProc files;
  files.Write(8, "cmdline", std::string(1 << 20, 'a'));
  EXPECT_EQ(LocalProcReader(files.Root()).Arguments(8).size(), 16384u);
}

}  // namespace
}  // namespace tokenwatch
