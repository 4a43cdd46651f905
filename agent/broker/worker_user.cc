#include "agent/broker/worker_user.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/capture/unique_fd.h"

namespace tokenwatch {
namespace {

constexpr int kDirectoriesDeep = 1;

// The entry as it is in the user database; no name where there is none.
WorkerUser Look(const std::string& name) {
  WorkerUser user;
  std::vector<char> buffer(65536);
  passwd entry;
  passwd* found = nullptr;
  if (getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return user;
  }
  user.name = found->pw_name;
  user.uid = found->pw_uid;
  user.gid = found->pw_gid;
  return user;
}

WorkerUser Own() {
  WorkerUser user;
  user.uid = geteuid();
  user.gid = getegid();
  std::vector<char> buffer(65536);
  passwd entry;
  passwd* found = nullptr;
  const bool known =
      getpwuid_r(user.uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr;
  user.name = known ? std::string(found->pw_name) : absl::StrCat(user.uid);
  return user;
}

absl::Status Own(int fd, const std::string& path, const WorkerUser& user) {
  if (fchownat(fd, "", user.uid, user.gid, AT_EMPTY_PATH) == 0) return absl::OkStatus();
  const int error = errno;
  if (error != EPERM) return absl::ErrnoToStatus(error, absl::StrCat("cannot give away ", path));
  return absl::PermissionDeniedError(absl::StrCat(
      path, " cannot be given to the user ", user.name,
      ": grant CAP_CHOWN to the agent's service, or run \"chown -R ", user.name, " ", path, "\""));
}

absl::Status HandOver(int directory, const std::string& path, const WorkerUser& user, int deep) {
  struct stat status;
  if (fstat(directory, &status) != 0) return absl::ErrnoToStatus(errno, path);
  if (status.st_uid != user.uid) {
    if (absl::Status owned = Own(directory, path, user); !owned.ok()) return owned;
  }
  // fdopendir takes the descriptor and its position.
  const int again = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* const list = again < 0 ? nullptr : fdopendir(again);
  if (list == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  const absl::Cleanup close_list = [list] { closedir(list); };
  while (const dirent* entry = readdir(list)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    const UniqueFd file(openat(directory, entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!file.valid() || fstat(file.get(), &status) != 0) continue;  // gone
    const std::string below = absl::StrCat(path, "/", entry->d_name);
    if (S_ISREG(status.st_mode) && status.st_nlink == 1 && status.st_uid != user.uid) {
      if (absl::Status owned = Own(file.get(), below, user); !owned.ok()) return owned;
    }
    if (!S_ISDIR(status.st_mode) || deep == 0) continue;
    const UniqueFd inner(openat(file.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!inner.valid()) continue;
    if (absl::Status owned = HandOver(inner.get(), below, user, deep - 1); !owned.ok()) {
      return owned;
    }
  }
  return absl::OkStatus();
}

struct Sets {
  std::array<__user_cap_data_struct, 2> data{};
};

__user_cap_header_struct CapabilityHeader() {
  return {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
}

}  // namespace

absl::StatusOr<WorkerUser> FindWorkerUser(const std::string& wanted) {
  if (wanted.empty()) {
    WorkerUser user = Look(kDefaultWorkerUser);
    return user.name.empty() ? Own() : user;
  }
  WorkerUser user = Look(wanted);
  if (user.name.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("there is no user ", wanted,
                                                   ": make it (useradd --system ", wanted,
                                                   "), or name another with --worker-user"));
  }
  user.is_asked_for = true;
  return user;
}

absl::Status HandOver(int directory, const std::string& path, const WorkerUser& user) {
  return HandOver(directory, path, user, kDirectoriesDeep);
}

absl::Status BecomeUser(const WorkerUser& user) {
  uid_t real = 0;
  uid_t effective = 0;
  uid_t saved = 0;
  getresuid(&real, &effective, &saved);
  const bool is_already = real == user.uid && effective == user.uid && saved == user.uid;
  // Its groups are given up where that is allowed: it needs none.
  const bool groups = setgroups(0, nullptr) == 0;
  if (is_already) return absl::OkStatus();
  if (groups && setresgid(user.gid, user.gid, user.gid) == 0 &&
      setresuid(user.uid, user.uid, user.uid) == 0) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(
      absl::StrCat("the worker cannot become the user ", user.name,
                   ": grant CAP_SETUID and CAP_SETGID to the agent's service, or name ", Own().name,
                   " with --worker-user"));
}

void DropBoundingSet() {
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  // Until the kernel knows no more. Without CAP_SETPCAP it refuses, which RemainingCapabilities
  // tells: they could only be had back by an execve, which the filter forbids.
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    prctl(PR_CAPBSET_DROP, capability);
  }
}

void DropCapabilities() {
  __user_cap_header_struct header = CapabilityHeader();
  const Sets none;
  syscall(SYS_capset, &header, none.data.data());
}

std::string RemainingCapabilities() {
  __user_cap_header_struct header = CapabilityHeader();
  Sets sets;
  syscall(SYS_capget, &header, sets.data.data());
  const auto join = [](uint32_t low, uint32_t high) { return uint64_t{high} << 32 | low; };
  uint64_t bounding = 0;
  for (int capability = 0; capability < 64; ++capability) {
    if (prctl(PR_CAPBSET_READ, capability) == 1) bounding |= uint64_t{1} << capability;
  }
  std::vector<std::string> found;
  const auto add = [&found](const char* name, uint64_t bits) {
    if (bits != 0) found.push_back(absl::StrCat(name, " ", absl::Hex(bits, absl::kZeroPad16)));
  };
  add("effective", join(sets.data[0].effective, sets.data[1].effective));
  add("permitted", join(sets.data[0].permitted, sets.data[1].permitted));
  add("inheritable", join(sets.data[0].inheritable, sets.data[1].inheritable));
  add("bounding", bounding);
  return found.empty() ? "none" : absl::StrJoin(found, ", ");
}

}  // namespace tokenwatch
