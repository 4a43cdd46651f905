#include "agent/capture/capabilities.h"

#include <linux/capability.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tokenwatch {
namespace {

constexpr CapabilityRow kRows[] = {
    {CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "to attach user-space probes", nullptr},
    {CAP_BPF, "CAP_BPF", "to load BPF programs", nullptr, /*in_sys_admin=*/true},
    {CAP_PERFMON, "CAP_PERFMON", "to read kernel and user memory in them", nullptr,
     /*in_sys_admin=*/true},
    {CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE", "to lock memory for BPF maps, or set LimitMEMLOCK",
     nullptr, /*in_sys_admin=*/false, /*for_locked_memory=*/true},
    {CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "to look into other users' processes",
     "libraries are found in the host's usual places only, not in containers, and uses by other "
     "users may lack their script and container"},
    {CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", "to open other users' files",
     "libraries that only their owners may read are not seen"},
    {CAP_LEASE, "CAP_LEASE", "to let writers wait until a library's probes are off",
     "a library that another user owns and writes over in place may crash its programs"},
    {CAP_SYS_NICE, "CAP_SYS_NICE", "to find new libraries first of all",
     "a library may be found too late for its first requests where the processors are busy"},
};

bool Has(const HostFacts& facts, int bit) { return (facts.capabilities >> bit & 1) != 0; }

}  // namespace

absl::Span<const CapabilityRow> CapabilityRows() { return kRows; }

bool HasCapability(const HostFacts& facts, const CapabilityRow& row) {
  if (Has(facts, row.bit)) return true;
  if (row.in_sys_admin && Has(facts, CAP_SYS_ADMIN)) return true;
  return row.for_locked_memory && !(facts.IsBefore(5, 11) && facts.memory_lock_bounded);
}

absl::Status CheckCapabilities(const HostFacts& facts) {
  std::vector<std::string> missing;
  for (const CapabilityRow& row : kRows) {
    if (row.without == nullptr && !HasCapability(facts, row)) {
      missing.push_back(absl::StrCat(row.name, " (", row.purpose, ")"));
    }
  }
  if (!missing.empty()) {
    return absl::PermissionDeniedError(absl::StrCat(
        "missing ", absl::StrJoin(missing, ", "),
        ": run the agent as root, or grant the capability to its service or container"));
  }
  if (!facts.in_user_namespace) return absl::OkStatus();
  return absl::PermissionDeniedError(
      "the capabilities of this process count in its own user namespace only: run the agent on the "
      "host, or in a container that shares the host's user namespace");
}

std::vector<std::string> LostCapabilities(const HostFacts& facts) {
  std::vector<std::string> lost;
  for (const CapabilityRow& row : kRows) {
    if (row.without != nullptr && !HasCapability(facts, row)) {
      lost.push_back(absl::StrCat("without ", row.name, " ", row.without));
    }
  }
  return lost;
}

absl::Status CheckHost(const HostFacts& facts) {
  absl::Status status = CheckProc(facts);
  status.Update(CheckKernelRelease(facts));
  status.Update(CheckBtf(facts));
  status.Update(CheckCapabilities(facts));
  status.Update(CheckLockdown(facts));
  return status;
}

absl::Status KernelError(int negative_errno, const std::string& what) {
  const int error = -negative_errno;
  const std::string message = absl::StrCat(what, ": ", strerror(error));
  switch (error) {
    case EPERM:
      return absl::PermissionDeniedError(
          absl::StrCat(what,
                       ": refused although no capability is missing, so by a seccomp filter, a "
                       "security module or a lockdown; see `tokenwatch-agent doctor`"));
    case EACCES:
      return absl::PermissionDeniedError(absl::StrCat(
          what,
          ": refused by the kernel's verifier or a security module; see `tokenwatch-agent "
          "doctor`"));
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
