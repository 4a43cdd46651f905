// What files of this host tell about whether capturing can work on it.
#ifndef TOKENWATCH_AGENT_CAPTURE_HOST_FACTS_H_
#define TOKENWATCH_AGENT_CAPTURE_HOST_FACTS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace tokenwatch {

struct HostFacts {
  enum class Btf { kReadable, kMissing, kUnreadable };

  std::string release;  // of the kernel: "6.12.9-cloud-amd64"; empty: not known
  int major = 0, minor = 0;
  Btf btf = Btf::kMissing;
  // Whether proc is mounted. Where it is not, only the capabilities are known of what it tells.
  bool has_proc = true;
  uint64_t capabilities = 0;       // effective, of this process
  bool in_user_namespace = false;  // another than the host's
  bool has_seccomp_filter = false;
  bool memory_lock_bounded = false;  // RLIMIT_MEMLOCK, the hard one
  // "none", "integrity" or "confidentiality"; empty where the kernel does not tell.
  std::string lockdown;

  bool IsBefore(int other_major, int other_minor) const {
    return major < other_major || (major == other_major && minor < other_minor);
  }
};

// Of this process and the kernel that it runs on. The roots are those of proc and sysfs, or copies
// of them.
HostFacts ReadHostFacts(const std::string& proc_root = "/proc",
                        const std::string& sys_root = "/sys");

// Each OK, or FailedPrecondition in one sentence that says what to do. A release that is not known
// passes, as the kernel itself will tell.
absl::Status CheckKernelRelease(const HostFacts& facts);
absl::Status CheckProc(const HostFacts& facts);
absl::Status CheckBtf(const HostFacts& facts);
absl::Status CheckLockdown(const HostFacts& facts);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_HOST_FACTS_H_
