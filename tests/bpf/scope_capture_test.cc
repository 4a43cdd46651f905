// Each kind of scope on purpose: what is inside is seen, what is outside is not. Every workload
// runs in the fixture's cgroup, which is always in the scope, too.
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/bpf/capture_fixture.h"

namespace tokenwatch {
namespace {

constexpr uint32_t kAppUser = 64321, kOtherUser = 64322;

class ScopeTest : public CaptureTest {
 protected:
  // The paths that a run of the scenario "chain" leaves.
  std::string Run(const WorkloadOptions& options) {
    const Seen seen = Collect(RunWorkload("chain", options), 500);
    announced_ = seen.processes.size();
    return seen.Paths();
  }

  size_t announced_ = 0;  // processes, in the last run
};

TEST_F(ScopeTest, Users) {
  const std::string program = CopyWorkload("w");
  ASSERT_TRUE(Start({.scope = {.users = {absl::StrCat(kAppUser)}}}));
  EXPECT_EQ(Run({.program = program, .uid = kAppUser}), "/w /w");
  EXPECT_EQ(Run({.program = program, .uid = kOtherUser}), "");
  EXPECT_EQ(announced_, 0u);
  EXPECT_EQ(Run({.program = program}), "");
}

TEST_F(ScopeTest, SeveralUsersAreAlternatives) {
  const std::string program = CopyWorkload("w");
  ASSERT_TRUE(Start({.scope = {.users = {"root", absl::StrCat(kAppUser)}}}));
  EXPECT_EQ(Run({.program = program, .uid = kAppUser}), "/w /w");
  EXPECT_EQ(Run({.program = program}), "/w /w");
  EXPECT_EQ(Run({.program = program, .uid = kOtherUser}), "");
}

TEST_F(ScopeTest, Executables) {
  const std::string inside = CopyWorkload("inside"), outside = CopyWorkload("outside");
  const std::string longer = CopyWorkload("inside2");
  ASSERT_TRUE(Start({.scope = {.executables = {inside}}}));
  EXPECT_EQ(Run({.program = inside}), "/inside /inside");
  EXPECT_EQ(Run({.program = outside}), "");
  EXPECT_EQ(announced_, 0u);
  EXPECT_EQ(Run({.program = longer}), "");
  // A process is known by its file, not by how that was named.
  EXPECT_EQ(Run({.program = copies_ + "/./inside"}), "/inside /inside");
}

TEST_F(ScopeTest, ExecutablesOfTheSameNameElsewhere) {
  const std::string inside = CopyWorkload("w");
  ASSERT_TRUE(Start({.scope = {.executables = {inside}}}));
  std::filesystem::create_directory(copies_ + "/d");
  const std::string outside = CopyWorkload("d/w");
  EXPECT_EQ(Run({.program = outside}), "");
  EXPECT_EQ(Run({.program = inside}), "/w /w");
}

TEST_F(ScopeTest, NamesOfEveryLength) {
  std::vector<std::string> programs;
  for (const size_t length : {1, 8, 62, 63, 64, 126, 252, 255}) {
    programs.push_back(CopyWorkload(std::string(length, 'n')));
  }
  ASSERT_TRUE(Start({.scope = {.executables = programs}}));
  for (const std::string& program : programs) {
    const std::string path = program.substr(program.rfind('/'));
    EXPECT_EQ(Run({.program = program}), absl::StrCat(path, " ", path));
  }
  EXPECT_EQ(Run({.program = CopyWorkload(std::string(253, 'n'))}), "");
}

TEST_F(ScopeTest, AnExecutableThatIsALinkIsTheFileBehindIt) {
  const std::string program = CopyWorkload("w1.2");
  const std::string link = copies_ + "/w";
  ASSERT_EQ(symlink(program.c_str(), link.c_str()), 0);
  ASSERT_TRUE(Start({.scope = {.executables = {link}}}));
  EXPECT_EQ(Run({.program = link}), "/w1.2 /w1.2");
  const CaptureStatus status = capture_->Status();
  EXPECT_EQ(status.scope_executables, (std::vector<std::string>{link, program}));
}

// The verdict is an image's, not a process's.
TEST_F(ScopeTest, AProcessEntersAndLeavesByExec) {
  const std::string inside = CopyWorkload("inside"), outside = CopyWorkload("outside");
  ASSERT_TRUE(Start({.scope = {.executables = {inside}}}));
  EXPECT_EQ(Run({.program = outside, .next = {inside, outside}}), "/inside /inside");
  EXPECT_EQ(Run({.program = inside, .next = {outside, inside}}), "/inside /inside /inside /inside");
  EXPECT_EQ(announced_, 2u);
}

TEST_F(ScopeTest, KindsNarrowEachOther) {
  const std::string inside = CopyWorkload("inside"), outside = CopyWorkload("outside");
  const std::string cgroup = MakeCgroup("a");
  ASSERT_TRUE(Start(
      {.scope = {
           .cgroups = {cgroup}, .users = {absl::StrCat(kAppUser)}, .executables = {inside}}}));
  EXPECT_EQ(Run({.cgroup = cgroup, .program = inside, .uid = kAppUser}), "/inside /inside");
  EXPECT_EQ(Run({.program = inside, .uid = kAppUser}), "") << "outside of the cgroup";
  EXPECT_EQ(Run({.cgroup = cgroup, .program = outside, .uid = kAppUser}), "");
  EXPECT_EQ(Run({.cgroup = cgroup, .program = inside, .uid = kOtherUser}), "");
}

TEST_F(ScopeTest, SeveralCgroupsAreAlternatives) {
  const std::string program = CopyWorkload("w");
  const std::string a = MakeCgroup("a"), b = MakeCgroup("b");
  ASSERT_TRUE(Start({.scope = {.cgroups = {a, b}}}));
  EXPECT_EQ(Run({.cgroup = a, .program = program}), "/w /w");
  EXPECT_EQ(Run({.cgroup = b, .program = program}), "/w /w");
  EXPECT_EQ(Run({.program = program}), "");
}

class PodScopeTest : public ScopeTest {
 protected:
  static constexpr const char* kUid = "2d3a4f66-0000-4000-8000-00000000000a";

  // The pods directory, with a pod.
  std::string MakePod(const std::string& name_space, const std::string& uid) {
    CopyWorkload("w");
    std::string pods = copies_ + "/pods";
    std::filesystem::create_directories(absl::StrCat(pods, "/", name_space, "_web-0_", uid));
    return pods;
  }

  // Until a pod is (or is not) in scope; false after ten seconds.
  bool WaitForPods(uint64_t count) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (capture_->Status().scope_pods != count) {
      if (std::chrono::steady_clock::now() > end) return false;
      usleep(1000);
    }
    return true;
  }

  CaptureOptions Options(const std::string& pods) {
    return {.scope = {.namespaces = {"shop"}, .pods_dir = pods}};
  }
};

TEST_F(PodScopeTest, PodsOfANamespace) {
  const std::string pods = MakePod("shop", kUid);
  const std::string other = "2d3a4f66-0000-4000-8000-00000000000b";
  std::filesystem::create_directory(pods + "/shop2_web-0_" + other);
  const std::string inside = MakeCgroup(
      "kubepods.slice/kubepods-burstable.slice/"
      "kubepods-burstable-pod2d3a4f66_0000_4000_8000_00000000000a.slice/cri-containerd-x.scope");
  const std::string outside = MakeCgroup("kubepods/burstable/pod" + other + "/x");
  ASSERT_TRUE(Start(Options(pods)));
  EXPECT_EQ(capture_->Status().scope_pods, 1u);
  const std::string program = copies_ + "/w";
  EXPECT_EQ(Run({.cgroup = inside, .program = program}), "/w /w");
  EXPECT_EQ(Run({.cgroup = outside, .program = program}), "");
  EXPECT_EQ(Run({.program = program}), "");
  EXPECT_EQ(announced_, 0u);
}

TEST_F(PodScopeTest, PodsThatComeAndGo) {
  const std::string pods = MakePod("other", kUid);
  ASSERT_TRUE(Start(Options(pods)));
  const std::string program = copies_ + "/w";
  const std::string cgroup = MakeCgroup(absl::StrCat("kubepods/pod", kUid));
  EXPECT_EQ(Run({.cgroup = cgroup, .program = program}), "");
  const std::string directory = absl::StrCat(pods, "/shop_web-0_", kUid);
  ASSERT_EQ(mkdir(directory.c_str(), 0755), 0);
  ASSERT_TRUE(WaitForPods(1));
  EXPECT_EQ(Run({.cgroup = cgroup, .program = program}), "/w /w");
  ASSERT_EQ(rmdir(directory.c_str()), 0);
  ASSERT_TRUE(WaitForPods(0));
  EXPECT_EQ(Run({.cgroup = cgroup, .program = program}), "");
}

TEST_F(PodScopeTest, AnExecutableInANamespace) {
  const std::string pods = MakePod("shop", kUid);
  const std::string cgroup = MakeCgroup(absl::StrCat("kubepods/pod", kUid, "/x"));
  CaptureOptions options = Options(pods);
  options.scope.executables = {CopyWorkload("inside")};
  ASSERT_TRUE(Start(options));
  EXPECT_EQ(Run({.cgroup = cgroup, .program = copies_ + "/inside"}), "/inside /inside");
  EXPECT_EQ(Run({.cgroup = cgroup, .program = copies_ + "/w"}), "");
  EXPECT_EQ(Run({.program = copies_ + "/inside"}), "");
}

TEST_F(PodScopeTest, WithoutAPodsDirectoryNothingIsInScope) {
  CopyWorkload("w");
  ASSERT_TRUE(Start(Options(copies_ + "/none/pods")));
  EXPECT_EQ(capture_->Status().scope_degraded.substr(0, 23), "pods-directory-missing:");
  const std::string cgroup = MakeCgroup(absl::StrCat("kubepods/pod", kUid));
  EXPECT_EQ(Run({.cgroup = cgroup, .program = copies_ + "/w"}), "");
  std::filesystem::create_directories(absl::StrCat(copies_, "/none/pods/shop_web-0_", kUid));
  ASSERT_TRUE(WaitForPods(1));
  EXPECT_EQ(capture_->Status().scope_degraded, "");
  EXPECT_EQ(Run({.cgroup = cgroup, .program = copies_ + "/w"}), "/w /w");
}

}  // namespace
}  // namespace tokenwatch
