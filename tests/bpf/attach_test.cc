// Probes that come and go while programs are inside the probed calls.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/capture/inode_reader.h"
#include "agent/capture/kernel_programs.h"
#include "agent/capture/tls_probes.h"
#include "tests/bpf/capture_fixture.h"

namespace tokenwatch {
namespace {

constexpr const char* kLibraries = "/usr/lib/x86_64-linux-gnu/";

// A workload in the scope that maps a copy of OpenSSL of its own and calls it until told to end.
class Caller {
 public:
  Caller(const std::string& cgroup, const std::string& folder) {
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) return;
    pid_ = fork();
    if (pid_ == 0) {
      std::ofstream procs(cgroup + "/cgroup.procs");
      procs << getpid();
      procs.close();
      if (!procs) _exit(98);
      dup2(pipe_fds[0], STDIN_FILENO);
      setenv("LD_LIBRARY_PATH", folder.c_str(), 1);
      execl(BPF_WORKLOAD, BPF_WORKLOAD, "until_told", "0", "0", nullptr);
      _exit(99);
    }
    close(pipe_fds[0]);
    tell_ = pipe_fds[1];
  }
  ~Caller() {
    if (tell_ >= 0) End();
  }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  // Its wait status.
  int End() {
    close(tell_);
    tell_ = -1;
    int status = -1;
    waitpid(pid_, &status, 0);
    return status;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int tell_ = -1;
};

// How many bytes of the code that `pid` maps of `path` are not the file's; -1 where none is mapped.
int ChangedCode(pid_t pid, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string content(std::istreambuf_iterator<char>(file), {});
  std::ifstream maps(absl::StrCat("/proc/", pid, "/maps"));
  std::ifstream memory(absl::StrCat("/proc/", pid, "/mem"), std::ios::binary);
  int changed = -1;
  for (std::string line; std::getline(maps, line);) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (fields.size() < 6 || fields[5] != path || fields[1] != "r-xp") continue;
    const std::vector<std::string> ends = absl::StrSplit(fields[0], '-');
    uint64_t begin = 0, end = 0, offset = 0;
    if (!absl::SimpleHexAtoi(ends[0], &begin) || !absl::SimpleHexAtoi(ends[1], &end) ||
        !absl::SimpleHexAtoi(fields[2], &offset)) {
      continue;
    }
    std::string code(std::min(end - begin, content.size() - offset), '\0');
    memory.seekg(static_cast<std::streamoff>(begin));
    memory.read(code.data(), static_cast<std::streamsize>(code.size()));
    if (!memory) return -1;
    changed = std::max(changed, 0);
    for (size_t i = 0; i < code.size(); ++i) changed += code[i] != content[offset + i] ? 1 : 0;
  }
  return changed;
}

ptrdiff_t OpenFiles() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return std::distance(begin(files), end(files));
}

uint64_t Hits(const TlsProbes& probes) {
  uint64_t hits = 0;
  for (const ProbeStatus& probe : probes.Status()) hits += probe.hits;
  return hits;
}

// Whether anyone on this machine holds user probes: another agent probes the copy here, too.
bool AnyProbes() {
  constexpr uint32_t kPerfEvent = 7, kUprobeMulti = 12;  // enum bpf_link_type
  for (uint32_t id = 0; bpf_link_get_next_id(id, &id) == 0;) {
    const UniqueFd link(bpf_link_get_fd_by_id(id));
    bpf_link_info info = {};
    uint32_t size = sizeof(info);
    if (link.valid() && bpf_obj_get_info_by_fd(link.get(), &info, &size) == 0 &&
        (info.type == kPerfEvent || info.type == kUprobeMulti)) {
      return true;
    }
  }
  return false;
}

class AttachTest : public CaptureTest {
 protected:
  void SetUp() override {
    CaptureTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    char name[] = "/tmp/tokenwatch-attach-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    for (const char* library : {"libssl.so.3", "libcrypto.so.3"}) {
      if (!std::filesystem::exists(absl::StrCat(kLibraries, library))) {
        GTEST_SKIP() << "SKIPPED: OpenSSL 3 of the distribution";
      }
      std::filesystem::copy(absl::StrCat(kLibraries, library), folder_);
    }
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
    CaptureTest::TearDown();
  }

  std::string folder_;
};

TEST_F(AttachTest, ComesAndGoesUnderLoad) {
  const int rounds = getenv("TOKENWATCH_E2E_LONG") != nullptr ? 1000 : 100;
  const std::string library = folder_ + "/libssl.so.3";
  KernelKnobs knobs;
  knobs.scope.cgroups = {cgroup_};
  absl::StatusOr<std::unique_ptr<KernelPrograms>> programs = KernelPrograms::Create(knobs);
  ASSERT_TRUE(programs.ok()) << programs.status();
  const absl::StatusOr<std::unique_ptr<InodeReader>> inodes = InodeReader::Create();
  ASSERT_TRUE(inodes.ok()) << inodes.status();
  const UniqueFd file(open(library.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(file.valid());

  bool others = AnyProbes();
  Caller callers[] = {Caller(cgroup_, folder_), Caller(cgroup_, folder_)};
  for (const Caller& caller : callers) {
    for (int i = 0; i < 200 && ChangedCode(caller.pid(), library) < 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    if (!others) {
      ASSERT_EQ(ChangedCode(caller.pid(), library), 0);
    }
  }
  const ptrdiff_t open_files = OpenFiles();
  int rounds_with_hits = 0;
  for (int round = 0; round < rounds; ++round) {
    TlsProbes probes(programs->get(), inodes->get(), {});
    const absl::StatusOr<bool> is_library = probes.Consider(file.get(), library, Sighting());
    ASSERT_TRUE(is_library.ok()) << is_library.status();
    ASSERT_TRUE(*is_library);
    if (round % 10 == 0) {
      ASSERT_GT(ChangedCode(callers[0].pid(), library), 0);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(round * 97 % 3000));
    rounds_with_hits += Hits(probes) > 0 ? 1 : 0;
  }
  EXPECT_GT(rounds_with_hits, rounds / 4);
  EXPECT_EQ(OpenFiles(), open_files);
  others |= AnyProbes();
  if (others) std::cerr << "others probe this machine: the code left behind is not compared\n";
  for (Caller& caller : callers) {
    if (!others) {
      EXPECT_EQ(ChangedCode(caller.pid(), library), 0);
    }
    EXPECT_EQ(caller.End(), 0);
  }
}

TEST_F(AttachTest, ReturnsThatCannotBeSeenUnharmfullyStayUnseen) {
  KernelKnobs knobs;
  knobs.scope.cgroups = {cgroup_};
  absl::StatusOr<std::unique_ptr<KernelPrograms>> programs = KernelPrograms::Create(knobs);
  ASSERT_TRUE(programs.ok()) << programs.status();
  const absl::StatusOr<std::unique_ptr<InodeReader>> inodes = InodeReader::Create();
  ASSERT_TRUE(inodes.ok()) << inodes.status();
  const std::string library = folder_ + "/libssl.so.3";
  const UniqueFd file(open(library.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(file.valid());

  // As where no return site is known, on a kernel whose own probes do harm.
  TlsProbes probes(programs->get(), inodes->get(),
                   {.kernel_returns = true, .returns_refused = "it kills"});
  const absl::StatusOr<bool> is_library = probes.Consider(file.get(), library, Sighting());
  ASSERT_TRUE(is_library.ok()) << is_library.status();
  EXPECT_TRUE(*is_library);
  uint64_t refused = 0;
  for (const ProbeStatus& probe : probes.Status()) {
    const bool has_return =
        absl::StartsWith(probe.symbol, "SSL_read") || absl::StartsWith(probe.symbol, "SSL_write");
    EXPECT_EQ(probe.returns, has_return ? "none" : "none needed") << probe.symbol;
    refused += has_return ? 1 : 0;
    if (has_return) {
      EXPECT_EQ(probe.returns_reason,
                "sites for returns are off; no return probe of the kernel: it kills");
    }
  }
  Counters counters;
  probes.AddCounters(&counters);
  EXPECT_GE(refused, 2u);
  EXPECT_EQ(counters["returns_refused_unseen"], refused);
  EXPECT_EQ(counters["kernel_return_probes"], 0u);
  EXPECT_EQ(counters["probes_attached"], probes.Status().size() - refused);
  EXPECT_EQ(counters["probes_failed_unseen"], 0u);
  // Calls go on as if nobody looked: what was attached is what needs no return.
  Caller caller(cgroup_, folder_);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  for (const ProbeStatus& probe : probes.Status()) {
    if (probe.returns == "none") {
      EXPECT_EQ(probe.hits, 0u) << probe.symbol;
    }
  }
  EXPECT_EQ(caller.End(), 0);
}

}  // namespace
}  // namespace tokenwatch
