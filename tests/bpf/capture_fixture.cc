#include "tests/bpf/capture_fixture.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <map>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tokenwatch {
namespace {

// Mount point of the cgroup2 hierarchy.
std::string CgroupMount() {
  std::ifstream mounts("/proc/mounts");
  for (std::string line; std::getline(mounts, line);) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    if (fields.size() > 2 && fields[2] == "cgroup2") return fields[1];
  }
  return "";
}

}  // namespace

std::string Seen::Paths() const {
  std::string paths;
  for (const Block& block : requests) {
    const std::vector<std::string> words = absl::StrSplit(block.text, absl::MaxSplits(' ', 2));
    absl::StrAppend(&paths, paths.empty() ? "" : " ", words.size() > 1 ? words[1] : "?");
  }
  return paths;
}

void CaptureTest::SetUp() {
  if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: root";
  if (access("/sys/kernel/btf/vmlinux", R_OK) != 0) GTEST_SKIP() << "SKIPPED: kernel BTF";
  const std::string mount = CgroupMount();
  if (mount.empty()) GTEST_SKIP() << "SKIPPED: cgroup2";
  cgroup_ = absl::StrCat(mount, "/tokenwatch-bpf-", getpid());
  ASSERT_EQ(mkdir(cgroup_.c_str(), 0755), 0) << cgroup_;
  server_ = std::make_unique<TinyServer>();
}

void CaptureTest::TearDown() {
  capture_.reset();
  server_.reset();
  if (!cgroup_.empty()) rmdir(cgroup_.c_str());
}

bool CaptureTest::Start(const CaptureOptions& options) {
  CaptureOptions scoped = options;
  scoped.scope_cgroups = {cgroup_};
  absl::StatusOr<std::unique_ptr<Capture>> capture = Capture::Create(scoped);
  if (!capture.ok()) {
    ADD_FAILURE() << capture.status();
    return false;
  }
  capture_ = *std::move(capture);
  return true;
}

pid_t CaptureTest::RunWorkload(const std::string& scenario, bool in_scope) {
  const std::string tls = std::to_string(server_->tls_port());
  const std::string plain = std::to_string(server_->plain_port());
  const std::string procs = cgroup_ + "/cgroup.procs";
  const pid_t pid = fork();
  if (pid == 0) {
    if (in_scope) {
      std::ofstream file(procs);
      file << getpid();
      file.close();
      if (!file) _exit(98);
    }
    execl(BPF_WORKLOAD, BPF_WORKLOAD, scenario.c_str(), tls.c_str(), plain.c_str(), nullptr);
    _exit(99);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0) << scenario;
  return pid;
}

Seen CaptureTest::Collect(pid_t pid) {
  Seen seen;
  std::map<std::pair<uint64_t, uint8_t>, Block> open;
  bool exited = false;
  const auto on_segment = [&](const Segment& segment) {
    if (const auto* data = std::get_if<DataSegment>(&segment)) {
      const auto key = std::make_pair(data->meta.connection, data->meta.direction);
      if ((data->meta.flags & TW_BLOCK_START) != 0 && open.contains(key)) {
        seen.unfinished.push_back(open[key]);
        open.erase(key);
      }
      Block& block = open[key];
      block.connection = data->meta.connection;
      block.pid = data->meta.pid;
      block.message = data->meta.message;
      block.layer = data->meta.layer;
      block.flags |= data->meta.flags;
      block.text.append(data->bytes);
      if ((data->meta.flags & TW_BLOCK_END) != 0) {
        ((block.flags & TW_RESPONSE) != 0 ? seen.answers : seen.requests).push_back(block);
        open.erase(key);
      }
    } else if (const auto* peer = std::get_if<tw_peer>(&segment)) {
      seen.peers.push_back(*peer);
    } else if (const auto* close = std::get_if<tw_close>(&segment)) {
      seen.closes.push_back(*close);
    } else if (const auto* gap = std::get_if<tw_gap>(&segment)) {
      seen.gaps.push_back(*gap);
    } else if (const auto* process = std::get_if<const tw_process*>(&segment)) {
      seen.processes.push_back(**process);
    } else if (const auto* exit = std::get_if<tw_exit>(&segment)) {
      seen.exits.push_back(*exit);
      exited = exited || exit->pid == static_cast<uint32_t>(pid);
    }
  };
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (!exited && std::chrono::steady_clock::now() < end) {
    EXPECT_TRUE(capture_->Poll(100, on_segment).ok());
  }
  for (const auto& [key, block] : open) seen.unfinished.push_back(block);
  return seen;
}

uint64_t CaptureTest::CounterValue(const std::string& name) const {
  Counters counters;
  capture_->AddCounters(&counters);
  const auto at = counters.find(name);
  EXPECT_NE(at, counters.end()) << name;
  return at == counters.end() ? 0 : at->second;
}

}  // namespace tokenwatch
