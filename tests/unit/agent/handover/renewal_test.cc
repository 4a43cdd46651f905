#include "agent/handover/renewal.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "agent/handover/standby.h"
#include "agent/report/file_system.h"

namespace tokenwatch {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

class RenewalTest : public testing::Test {
 protected:
  RenewalTest() {
    char name[] = "/tmp/tokenwatch-renewal-XXXXXX";
    directory_ = mkdtemp(name);
    program_ = directory_ + "/program";
    output_ = directory_ + "/output";
    setenv("OUTPUT", output_.c_str(), 1);
  }
  ~RenewalTest() override { std::filesystem::remove_all(directory_); }

  // Puts a script where the program is, as an upgrade puts a new file there.
  void Install(const std::string& script) {
    const std::string fresh = program_ + ".new";
    std::ofstream(fresh) << "#!/bin/sh\n" << script << "\n";
    chmod(fresh.c_str(), 0755);
    std::filesystem::rename(fresh, program_);
  }

  static bool Ended(Renewal* renewal, uint64_t now_ns) {
    for (int i = 0; i < 5000 && renewal->child() != 0; ++i) {
      renewal->Step(now_ns);
      usleep(1000);
    }
    return renewal->child() == 0;
  }

  std::string Output() const {
    std::ifstream file(output_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string directory_, program_, output_;
};

TEST_F(RenewalTest, StartsTheFileThatStandsThereNow) {
  Install("exit 1");
  std::string argument = "--flag";
  char* argv[] = {program_.data(), argument.data(), nullptr};
  Renewal renewal(argv, directory_);
  EXPECT_EQ(renewal.path(), program_);
  setenv("WATCHDOG_PID", "1", 1);
  setenv("TOKENWATCH_TAKE_OVER", "0", 1);
  Install(
      R"(echo "$1 $TOKENWATCH_TAKE_OVER $TOKENWATCH_TAKE_OVER_FROM ${WATCHDOG_PID-none}" >"$OUTPUT")");
  // A signal that this process blocks and ignores must reach the child as usual.
  signal(SIGPIPE, SIG_IGN);
  ASSERT_TRUE(renewal.Start(0).ok());
  EXPECT_NE(renewal.child(), 0);
  EXPECT_FALSE(renewal.Start(0).ok()) << "one at a time";
  EXPECT_TRUE(Ended(&renewal, 0));
  EXPECT_EQ(Output(), "--flag 1 " + directory_ + " none\n");
  unsetenv("WATCHDOG_PID");
  unsetenv("TOKENWATCH_TAKE_OVER");
}

TEST_F(RenewalTest, SaysWhyNothingStarted) {
  char* argv[] = {program_.data(), nullptr};
  Renewal renewal(argv, directory_);
  const absl::Status status = renewal.Start(0);
  EXPECT_NE(status.message().find(program_), std::string::npos) << status;
  EXPECT_EQ(renewal.child(), 0);
}

TEST_F(RenewalTest, EndsOneThatTakesTooLong) {
  Install("trap '' TERM; echo there >\"$OUTPUT\"; while :; do sleep 0.05; done");
  char* argv[] = {program_.data(), nullptr};
  Renewal renewal(argv, directory_);
  ASSERT_TRUE(renewal.Start(0).ok());
  while (Output().empty()) usleep(1000);
  renewal.Step(Renewal::kPatienceNs - 1);
  EXPECT_EQ(kill(renewal.child(), 0), 0);
  renewal.Step(Renewal::kPatienceNs);  // it does not listen
  EXPECT_NE(renewal.child(), 0);
  renewal.Step(Renewal::kPatienceNs + 6 * kSecond);
  EXPECT_TRUE(Ended(&renewal, Renewal::kPatienceNs + 6 * kSecond));
}

TEST_F(RenewalTest, WithoutAnAbsoluteNameItIsWhereThisProgramWas) {
  std::string name = "program";
  char* argv[] = {name.data(), nullptr};
  EXPECT_EQ(Renewal(argv, directory_).path(),
            std::filesystem::read_symlink("/proc/self/exe").string());
}

TEST_F(RenewalTest, ASuccessorKeepsTheSpool) {
  EXPECT_TRUE(CheckSpoolKept("/anywhere").ok()) << "nobody started it so";
  setenv(Renewal::kFrom, directory_.c_str(), 1);
  EXPECT_TRUE(CheckSpoolKept(directory_).ok());
  EXPECT_TRUE(CheckSpoolKept(directory_ + "/").ok());
  const absl::Status status = CheckSpoolKept("/anywhere");
  EXPECT_NE(status.message().find("restart the agent"), std::string::npos) << status;
  unsetenv(Renewal::kFrom);
}

TEST_F(RenewalTest, StandsByWhileTheSpoolHasAnOwner) {
  const auto lock = RealFileSystem()->Lock(directory_ + "/lock");
  ASSERT_TRUE(lock.ok());
  const std::atomic<bool> told{true};
  EXPECT_FALSE(StandBy(directory_, "", told, [] {}));
  std::atomic<bool> stop{false};
  bool is_free = true;
  std::atomic<int> turns{0};
  std::thread standing_by([&] { is_free = StandBy(directory_, "", stop, [&] { ++turns; }); });
  while (turns == 0) usleep(1000);
  stop = true;
  standing_by.join();
  EXPECT_FALSE(is_free);
}

TEST_F(RenewalTest, WatchesAgainWhereNobodyHasTheSpool) {
  {
    const auto lock = RealFileSystem()->Lock(directory_ + "/lock");
  }
  const std::atomic<bool> stop{false};
  EXPECT_TRUE(StandBy(directory_, "", stop, [] {}));
  std::filesystem::remove_all(directory_);
  EXPECT_TRUE(StandBy(directory_, "", stop, [] {})) << "nobody can hold what is not there";
}

}  // namespace
}  // namespace tokenwatch
