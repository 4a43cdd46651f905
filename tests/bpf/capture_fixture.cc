#include "tests/bpf/capture_fixture.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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

std::string Seen::Bodies() const {
  std::string all;
  for (const Block& body : bodies) {
    absl::StrAppend(&all, (body.flags & TW_RESPONSE) != 0 ? "answer " : "request ", body.message,
                    ": ");
    if (body.text.size() > 100) {
      absl::StrAppend(&all, body.text.size(), " bytes");
    } else {
      all.append(body.text);
    }
    all.append((body.flags & TW_CUT) != 0 ? "...\n" : "\n");
  }
  return all;
}

void CaptureTest::SetUp() {
  if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: root";
  if (access("/sys/kernel/btf/vmlinux", R_OK) != 0) GTEST_SKIP() << "SKIPPED: btf";
  const std::string mount = CgroupMount();
  if (mount.empty()) GTEST_SKIP() << "SKIPPED: cgroup2";
  cgroup_ = absl::StrCat(mount, "/tokenwatch-bpf-", getpid());
  ASSERT_EQ(mkdir(cgroup_.c_str(), 0755), 0) << cgroup_;
  server_ = std::make_unique<TinyServer>();
}

void CaptureTest::TearDown() {
  ring_.reset();
  capture_.reset();
  server_.reset();
  while (!cgroups_.empty()) {
    rmdir(cgroups_.back().c_str());
    cgroups_.pop_back();
  }
  if (!cgroup_.empty()) rmdir(cgroup_.c_str());
  if (!copies_.empty()) std::filesystem::remove_all(copies_);
}

bool CaptureTest::Start(const CaptureOptions& options) {
  CaptureOptions scoped = options;
  if (scoped.scope.cgroups.empty()) scoped.scope.cgroups = {cgroup_};
  absl::StatusOr<std::unique_ptr<Capture>> capture = Capture::Create(scoped);
  if (!capture.ok()) {
    ADD_FAILURE() << capture.status();
    return false;
  }
  capture_ = *std::move(capture);
  absl::StatusOr<std::unique_ptr<RingReader>> ring =
      RingReader::Create(capture_->Ring(), [this] { return capture_->WipeRing(); });
  if (!ring.ok()) {
    ADD_FAILURE() << ring.status();
    return false;
  }
  ring_ = *std::move(ring);
  return true;
}

std::string CaptureTest::MakeCgroup(const std::string& path) {
  std::string at = cgroup_;
  for (const std::string& name : std::vector<std::string>(absl::StrSplit(path, '/'))) {
    at += "/" + name;
    if (mkdir(at.c_str(), 0755) == 0) cgroups_.push_back(at);
  }
  EXPECT_EQ(access(at.c_str(), F_OK), 0) << at;
  return at;
}

std::string CaptureTest::CopyWorkload(const std::string& name) {
  if (copies_.empty()) {
    copies_ = std::filesystem::temp_directory_path() / "tokenwatch-bpf-XXXXXX";
    EXPECT_NE(mkdtemp(copies_.data()), nullptr);
    chmod(copies_.c_str(), 0755);
  }
  std::string copy = copies_ + "/" + name;
  std::filesystem::copy_file(BPF_WORKLOAD, copy);
  chmod(copy.c_str(), 0755);
  return copy;
}

pid_t CaptureTest::RunWorkload(const std::string& scenario, bool in_scope) {
  return RunWorkload(scenario, {.cgroup = in_scope ? "" : "/"});
}

pid_t CaptureTest::RunWorkload(const std::string& scenario, const WorkloadOptions& options) {
  const std::string program = options.program.empty() ? BPF_WORKLOAD : options.program;
  const std::string chain = absl::StrJoin(options.next, ":");
  const std::string tls = std::to_string(server_->tls_port());
  const std::string plain = std::to_string(server_->plain_port());
  const std::string procs = (options.cgroup.empty() ? cgroup_ : options.cgroup) + "/cgroup.procs";
  const pid_t pid = fork();
  if (pid == 0) {
    if (options.cgroup != "/") {
      std::ofstream file(procs);
      file << getpid();
      file.close();
      if (!file) _exit(98);
    }
    setenv("BPF_WORKLOAD_NEXT", chain.c_str(), 1);
    if (setresuid(options.uid, options.uid, options.uid) != 0) _exit(97);
    execl(program.c_str(), program.c_str(), scenario.c_str(), tls.c_str(), plain.c_str(), nullptr);
    _exit(99);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0) << scenario;
  return pid;
}

Seen CaptureTest::Collect(pid_t pid, int milliseconds) {
  Seen seen;
  // By connection, direction and, of HTTP/2's bodies, stream.
  std::map<std::tuple<uint64_t, uint8_t, uint32_t>, Block> open;
  bool exited = false;
  const auto on_segment = [&](const Segment& segment) {
    if (const auto* data = std::get_if<DataSegment>(&segment)) {
      constexpr int kStreamBody = TW_HTTP2 | TW_BODY;
      const bool is_stream_body = (data->meta.flags & kStreamBody) == kStreamBody;
      const auto key = std::make_tuple(data->meta.connection, data->meta.direction,
                                       is_stream_body ? data->meta.message : 0);
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
        ((block.flags & TW_BODY) != 0       ? seen.bodies
         : (block.flags & TW_RESPONSE) != 0 ? seen.answers
                                            : seen.requests)
            .push_back(block);
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
    } else if (const auto* tls = std::get_if<tw_tls>(&segment)) {
      seen.tls.push_back(*tls);
    } else if (const auto* exit = std::get_if<tw_exit>(&segment)) {
      seen.exits.push_back(*exit);
      exited = exited || exit->pid == static_cast<uint32_t>(pid);
    }
  };
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
  while (!exited && std::chrono::steady_clock::now() < end) {
    EXPECT_TRUE(ring_->Poll(100, on_segment).ok());
  }
  for (const auto& [key, block] : open) seen.unfinished.push_back(block);
  return seen;
}

uint64_t CaptureTest::CounterValue(const std::string& name) const {
  Counters counters;
  capture_->AddCounters(&counters);
  ring_->AddCounters(&counters);
  const auto at = counters.find(name);
  EXPECT_NE(at, counters.end()) << name;
  return at == counters.end() ? 0 : at->second;
}

}  // namespace tokenwatch
