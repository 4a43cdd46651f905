#include "agent/capture/scope.h"

#include <fcntl.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

constexpr long kCgroup2Magic = 0x63677270;  // linux/magic.h, CGROUP2_SUPER_MAGIC

}  // namespace

absl::StatusOr<std::vector<UniqueFd>> OpenScope(const std::vector<std::string>& cgroups) {
  if (cgroups.size() > kMaxScopes) {
    return absl::InvalidArgumentError(
        absl::StrCat("at most ", kMaxScopes, " cgroups can be in scope"));
  }
  std::vector<UniqueFd> opened;
  for (const std::string& path : cgroups) {
    UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct statfs info;
    if (!fd.valid()) {
      return absl::NotFoundError(absl::StrCat("cannot open the cgroup ", path, ": ",
                                              std::strerror(errno),
                                              "; make it first, below the cgroup2 mount"));
    }
    if (fstatfs(fd.get(), &info) != 0 || info.f_type != kCgroup2Magic) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, " is no directory of a cgroup2 mount; find that mount with: grep cgroup2 ",
          "/proc/mounts"));
    }
    opened.push_back(std::move(fd));
  }
  return opened;
}

absl::Status CheckScope(const std::vector<std::string>& cgroups) {
  return OpenScope(cgroups).status();
}

}  // namespace tokenwatch
