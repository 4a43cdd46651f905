// A host of made-up files on which every check is well, for tests that then spoil it.
#ifndef TOKENWATCH_TESTS_UNIT_AGENT_DOCTOR_FAKE_HOST_H_
#define TOKENWATCH_TESTS_UNIT_AGENT_DOCTOR_FAKE_HOST_H_

#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "agent/doctor/check.h"

namespace tokenwatch {

class FakeHost {
 public:
  FakeHost() {
    std::string pattern = (std::filesystem::temp_directory_path() / "fake_host.XXXXXX").string();
    root_ = mkdtemp(pattern.data());
    Write("proc/sys/kernel/osrelease", "6.12.9-cloud-amd64\n");
    Write("proc/self/status", "CapEff:\t000001ffffffffff\nSeccomp:\t0\n");
    Write("proc/self/uid_map", "         0          0 4294967295\n");
    Write("proc/self/limits", "Max locked memory  unlimited  unlimited  bytes\n");
    Write("proc/self/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n");
    Write("sys/kernel/btf/vmlinux", "types");
    Write("sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
    Write("fleet.key", std::string(64, 'a') + "\n");
    chmod(Path("fleet.key").c_str(), 0600);
    std::filesystem::create_directories(Path("spool"));
    context_.host = {.proc = Path("proc"),
                     .sys = Path("sys"),
                     .root = root_,
                     .try_sockets = [] { return std::vector<SocketTrial>{{"fentry", ""}}; },
                     .try_return_probes = [] { return std::string(); },
                     .is_clock_synchronised = [] { return true; },
                     .patience = absl::Seconds(1)};
    context_.options.key_files = {Path("fleet.key")};
    context_.options.spool_dir = Path("spool");
    context_.options.plaintext = true;
  }
  ~FakeHost() { std::filesystem::remove_all(root_); }
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;

  std::string Path(const std::string& name) const { return absl::StrCat(root_, "/", name); }
  void Write(const std::string& name, const std::string& contents) const {
    std::filesystem::create_directories(std::filesystem::path(Path(name)).parent_path());
    std::ofstream(Path(name), std::ios::binary) << contents;
  }
  void Link(const std::string& name, const std::string& target) const {
    std::filesystem::create_directories(std::filesystem::path(Path(name)).parent_path());
    std::filesystem::create_symlink(target, Path(name));
  }

  DoctorOptions& options() { return context_.options; }
  DoctorHost& host() { return context_.host; }
  // With the facts of the files as they are now.
  const DoctorContext& Context() {
    context_.facts = ReadHostFacts(context_.host.proc, context_.host.sys);
    return context_;
  }

 private:
  std::string root_;
  DoctorContext context_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_AGENT_DOCTOR_FAKE_HOST_H_
