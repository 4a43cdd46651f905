#include "agent/capture/capabilities.h"

#include <linux/capability.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace tokenwatch {
namespace {

struct Needed {
  int bit;
  const char* name;
  const char* purpose;
};

constexpr Needed kNeeded[] = {
    {CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "to attach user-space probes"},
    {CAP_BPF, "CAP_BPF", "to load BPF programs"},
    {CAP_PERFMON, "CAP_PERFMON", "to read kernel and user memory in them"},
    {CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "to find the libraries of other users' processes"},
    {CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", "to open those libraries"},
};

uint64_t EffectiveCapabilities() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    absl::string_view value = line;
    uint64_t bits = 0;
    if (absl::ConsumePrefix(&value, "CapEff:\t") && absl::SimpleHexAtoi(value, &bits)) {
      return bits;
    }
  }
  return 0;
}

}  // namespace

absl::Status CheckCapabilities() {
  const uint64_t have = EffectiveCapabilities();
  std::vector<std::string> missing;
  for (const Needed& needed : kNeeded) {
    if ((have >> needed.bit & 1) == 0) {
      missing.push_back(absl::StrCat(needed.name, " (", needed.purpose, ")"));
    }
  }
  if (missing.empty()) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("missing ", absl::StrJoin(missing, ", "),
                   ": run the agent as root, or grant the capability to its service or container"));
}

absl::Status CheckKernel() {
  if (access("/sys/kernel/btf/vmlinux", R_OK) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "this kernel has no BTF (/sys/kernel/btf/vmlinux cannot be read): use a kernel from 5.10 on "
      "that is built with CONFIG_DEBUG_INFO_BTF, as the distributions' are");
}

absl::Status KernelError(int negative_errno, const std::string& what) {
  const int error = -negative_errno;
  const std::string message = absl::StrCat(what, ": ", strerror(error));
  switch (error) {
    case EPERM:
    case EACCES:
      return absl::PermissionDeniedError(message);
    case ENOENT:
    case ESRCH:
      return absl::NotFoundError(message);
    case EINVAL:
      return absl::InvalidArgumentError(message);
    case ENOMEM:
    case E2BIG:
      return absl::ResourceExhaustedError(message);
    case ENOTSUP:
      return absl::UnimplementedError(message);
    default:
      return absl::InternalError(message);
  }
}

}  // namespace tokenwatch
