#include "agent/capture/host_facts.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace tokenwatch {
namespace {

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// "none [integrity] confidentiality" ▶ "integrity"
std::string Bracketed(const std::string& line) {
  const size_t open = line.find('['), close = line.find(']');
  if (open == std::string::npos || close == std::string::npos || close < open) return "";
  return line.substr(open + 1, close - open - 1);
}

uint64_t OwnCapabilities() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) != 0) return 0;
  return uint64_t{data[1].effective} << 32 | data[0].effective;
}

void ReadStatus(const std::string& path, HostFacts* facts) {
  std::ifstream status(path);
  facts->has_proc = status.is_open();
  if (!facts->has_proc) facts->capabilities = OwnCapabilities();
  for (std::string line; std::getline(status, line);) {
    absl::string_view value = line;
    if (absl::ConsumePrefix(&value, "CapEff:\t")) {
      if (!absl::SimpleHexAtoi(value, &facts->capabilities)) facts->capabilities = 0;
    } else if (absl::ConsumePrefix(&value, "Seccomp:\t")) {
      facts->has_seccomp_filter = value == "2";
    }
  }
}

// "Max locked memory         8388608              8388608              bytes"
bool IsMemoryLockBounded(const std::string& path) {
  std::ifstream limits(path);
  for (std::string line; std::getline(limits, line);) {
    absl::string_view rest = line;
    if (!absl::ConsumePrefix(&rest, "Max locked memory")) continue;
    const std::vector<absl::string_view> values = absl::StrSplit(rest, ' ', absl::SkipEmpty());
    return values.size() > 1 && values[1] != "unlimited";
  }
  return false;
}

// The host's own maps each number to itself: "0 0 4294967295".
bool IsInUserNamespace(const std::string& path) {
  const std::string line = FirstLine(path);
  const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
  return fields.size() == 3 && fields[2] != "4294967295";
}

}  // namespace

HostFacts ReadHostFacts(const std::string& proc_root, const std::string& sys_root) {
  HostFacts facts;
  facts.release = FirstLine(proc_root + "/sys/kernel/osrelease");
  if (std::sscanf(facts.release.c_str(), "%d.%d", &facts.major, &facts.minor) != 2) {
    facts.major = facts.minor = 0;
  }
  if (access((sys_root + "/kernel/btf/vmlinux").c_str(), R_OK) == 0) {
    facts.btf = HostFacts::Btf::kReadable;
  } else if (errno == EACCES || errno == EPERM) {
    facts.btf = HostFacts::Btf::kUnreadable;
  }
  ReadStatus(proc_root + "/self/status", &facts);
  facts.in_user_namespace = IsInUserNamespace(proc_root + "/self/uid_map");
  facts.memory_lock_bounded = IsMemoryLockBounded(proc_root + "/self/limits");
  facts.lockdown = Bracketed(FirstLine(sys_root + "/kernel/security/lockdown"));
  return facts;
}

absl::Status CheckKernelRelease(const HostFacts& facts) {
  if (facts.major == 0 || !facts.IsBefore(5, 10)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "kernel ", facts.release, " is too old for the BPF programs: boot 5.10 or a later one"));
}

absl::Status CheckProc(const HostFacts& facts) {
  if (facts.has_proc) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "/proc cannot be read, by which processes and their libraries are found: mount proc there");
}

absl::Status CheckBtf(const HostFacts& facts) {
  switch (facts.btf) {
    case HostFacts::Btf::kReadable:
      return absl::OkStatus();
    case HostFacts::Btf::kUnreadable:
      return absl::FailedPreconditionError(
          "the kernel's types (/sys/kernel/btf/vmlinux) may not be read by this process: mount "
          "/sys into its container, and let its security profile read it");
    case HostFacts::Btf::kMissing:
      break;
  }
  return absl::FailedPreconditionError(
      "this kernel has no BTF (/sys/kernel/btf/vmlinux is not there): boot a kernel from 5.10 on "
      "that is built with CONFIG_DEBUG_INFO_BTF, as the distributions' are, or mount /sys");
}

absl::Status CheckLockdown(const HostFacts& facts) {
  if (facts.lockdown != "confidentiality") return absl::OkStatus();
  return absl::FailedPreconditionError(
      "the kernel is locked down for confidentiality, so that no BPF program may read memory: boot "
      "it with lockdown=integrity, which the agent can live with");
}

}  // namespace tokenwatch
