#include "agent/broker/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

// linux/landlock.h as of ABI 6: the headers of the distributions that this is built on are older
// than kernels that it runs on.
struct Ruleset {
  uint64_t handled_files;
  uint64_t handled_network;
  uint64_t scoped;
};
struct __attribute__((packed)) PathBeneath {
  uint64_t allowed;
  int32_t parent;
};
struct NetworkPort {
  uint64_t allowed;
  uint64_t port;
};

constexpr int kRulePath = 1;
constexpr int kRulePort = 2;
constexpr uint32_t kAskVersion = 1;

enum FileRight : uint64_t {
  kWriteFile = 1 << 1,
  kReadFile = 1 << 2,
  kReadDir = 1 << 3,
  kRemoveDir = 1 << 4,
  kRemoveFile = 1 << 5,
  kMakeDir = 1 << 7,
  kMakeFile = 1 << 8,
  kMakeSocket = 1 << 9,
  kRefer = 1 << 13,     // ABI 2
  kTruncate = 1 << 14,  // ABI 3
  kIoctl = 1 << 15,     // ABI 5
};
constexpr uint64_t kFirstRights = (1 << 13) - 1;
constexpr uint64_t kOfFiles = kWriteFile | kReadFile | kTruncate;
constexpr uint64_t kWrite = kWriteFile | kReadFile | kReadDir | kRemoveDir | kRemoveFile |
                            kMakeDir | kMakeFile | kMakeSocket | kRefer | kTruncate;
constexpr uint64_t kRead = kReadFile | kReadDir;

constexpr uint64_t kConnectTcp = 1 << 1;  // ABI 4, as is kBindTcp
constexpr uint64_t kBindTcp = 1 << 0;
constexpr uint64_t kScopes = 3;  // abstract sockets and signals, ABI 6

uint64_t HandledFiles(int abi) {
  uint64_t rights = kFirstRights;
  if (abi >= 2) rights |= kRefer;
  if (abi >= 3) rights |= kTruncate;
  if (abi >= 5) rights |= kIoctl;
  return rights;
}

absl::Status AllowPath(int rules, int path, uint64_t rights) {
  const PathBeneath rule = {.allowed = rights, .parent = path};
  if (syscall(SYS_landlock_add_rule, rules, kRulePath, &rule, 0) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "landlock_add_rule");
}

}  // namespace

std::vector<std::string> ReadableForNamesAndCertificates() {
  return {
      "/etc/resolv.conf",
      "/etc/hosts",
      "/etc/host.conf",
      "/etc/nsswitch.conf",
      "/etc/gai.conf",
      "/etc/services",
      "/etc/protocols",
      "/etc/localtime",
      "/etc/ssl/openssl.cnf",
      "/etc/ssl/certs",
      "/etc/ca-certificates",
      "/usr/share/ca-certificates",
      "/usr/local/share/ca-certificates",
      "/usr/lib/ssl",
      "/usr/share/zoneinfo",
      "/run/systemd/resolve",
      "/run/resolvconf",
      "/dev/null",
      "/dev/urandom",
      "/sys/devices/system/cpu",
  };
}

absl::StatusOr<Landlock> Landlock::Create(const LandlockOptions& options) {
  const auto abi = static_cast<int>(syscall(SYS_landlock_create_ruleset, nullptr, 0, kAskVersion));
  if (abi < 1) {
    return absl::UnimplementedError(
        "this kernel has no Landlock (5.13 with CONFIG_SECURITY_LANDLOCK, and landlock among its "
        "lsm=)");
  }
  Ruleset ruleset = {.handled_files = HandledFiles(abi)};
  if (abi >= 4) ruleset.handled_network = kBindTcp | kConnectTcp;
  if (abi >= 6) ruleset.scoped = kScopes;
  UniqueFd rules(
      static_cast<int>(syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0)));
  if (!rules.valid()) return absl::ErrnoToStatus(errno, "landlock_create_ruleset");
  if (options.writable >= 0) {
    absl::Status status = AllowPath(rules.get(), options.writable, kWrite & ruleset.handled_files);
    if (!status.ok()) return status;
  }
  for (const std::string& path : options.readable) {
    const UniqueFd file(open(path.c_str(), O_PATH | O_CLOEXEC));
    struct stat status;
    if (!file.valid() || fstat(file.get(), &status) != 0) continue;
    // A file takes the rights of files only.
    const uint64_t rights = S_ISDIR(status.st_mode) ? kRead : kRead & kOfFiles;
    if (absl::Status allowed = AllowPath(rules.get(), file.get(), rights); !allowed.ok()) {
      return allowed;
    }
  }
  for (const uint16_t port : options.ports) {
    if (ruleset.handled_network == 0) break;
    const NetworkPort rule = {.allowed = kConnectTcp, .port = port};
    if (syscall(SYS_landlock_add_rule, rules.get(), kRulePort, &rule, 0) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("landlock_add_rule, port ", port));
    }
  }
  return Landlock(std::move(rules), abi);
}

absl::Status Landlock::Enforce() const {
  if (syscall(SYS_landlock_restrict_self, rules_.get(), 0) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "landlock_restrict_self");
}

}  // namespace tokenwatch
