#include "agent/capture/scope.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "agent/common/text.h"

namespace tokenwatch {
namespace {

constexpr long kCgroup2Magic = 0x63677270;  // linux/magic.h, CGROUP2_SUPER_MAGIC
constexpr size_t kPiece = 64;               // TW_PIECE of bpf/scope.h
constexpr size_t kNamespaceMax = 63;        // RFC 1123 label, as Kubernetes wants it

absl::Status CheckCount(size_t count, size_t max, const char* what) {
  if (count <= max) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("at most ", max, " ", what, " can be in scope"));
}

std::string Shown(std::string_view text) {
  return absl::CHexEscape(std::string(text.substr(0, 100)));
}

absl::StatusOr<UniqueFd> OpenCgroup(const std::string& path) {
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
  return fd;
}

absl::StatusOr<uint32_t> ResolveUser(const std::string& user) {
  uint32_t uid = 0;
  const bool is_number = !user.empty() && AllOf(user, absl::ascii_isdigit);
  if (is_number) {
    // The last one stands for no user (setuid(2)).
    if (absl::SimpleAtoi(user, &uid) && uid != std::numeric_limits<uint32_t>::max()) return uid;
    return absl::InvalidArgumentError(
        absl::StrCat("--scope-user: ", Shown(user), " is too large for a user's number"));
  }
  std::vector<char> buffer(65536);
  passwd entry;
  passwd* found = nullptr;
  if (getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found) == 0 &&
      found != nullptr) {
    return found->pw_uid;
  }
  return absl::NotFoundError(
      absl::StrCat("--scope-user: this host knows no user '", Shown(user),
                   "': give a name that `getent passwd` prints, or the user's number"));
}

// The path with single slashes.
absl::StatusOr<std::string> ResolveExecutable(const std::string& path) {
  const auto refuse = [&path](const std::string& why) {
    return absl::InvalidArgumentError(absl::StrCat("--scope-exe ", Shown(path), ": ", why));
  };
  if (!path.starts_with('/')) {
    return refuse("give the absolute path of an executable, as its processes see it");
  }
  if (path.ends_with('/')) return refuse("give the path of an executable, not of a directory");
  if (path.find('*') != std::string::npos) {
    return refuse("patterns are not matched: name each executable");
  }
  const std::vector<std::string> components = absl::StrSplit(path, '/', absl::SkipEmpty());
  for (const std::string& component : components) {
    if (component == "." || component == "..") return refuse("give the path without . and ..");
    if (component.size() > NAME_MAX) return refuse("no file has a name so long");
  }
  if (components.size() > kMaxPathComponents) {
    return refuse(
        absl::StrCat("paths of more than ", kMaxPathComponents, " components are not matched"));
  }
  return absl::StrCat("/", absl::StrJoin(components, "/"));
}

// What a link on this host leads to; empty where it is none.
std::string LinkTarget(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr),
                                                         &std::free);
  return real == nullptr || path == real.get() ? std::string() : std::string(real.get());
}

absl::Status CheckNamespace(const std::string& name) {
  const auto fits = [](unsigned char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
  };
  if (!name.empty() && name.size() <= kNamespaceMax && AllOf(name, fits) && name.front() != '-' &&
      name.back() != '-') {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--scope-namespace: '", Shown(name),
      "' cannot be a Kubernetes namespace: lower-case letters, digits and '-', at most ",
      kNamespaceMax));
}

absl::StatusOr<std::string> FindCgroupRoot() {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    if (fields.size() > 2 && fields[2] == "cgroup2") return fields[1];
  }
  return absl::NotFoundError(
      "--scope-namespace finds pods by their cgroups of version 2, and no cgroup2 is mounted here: "
      "mount it (mount -t cgroup2 none DIR), or name cgroups, users or executables instead");
}

void AddKind(std::string_view what, const std::vector<std::string>& values,
             std::vector<std::string>* kinds) {
  if (!values.empty())
    kinds->push_back(absl::StrCat(std::string(what), " ", absl::StrJoin(values, " or ")));
}

}  // namespace

bool Scope::IsWholeHost() const {
  return cgroups.empty() && users.empty() && executables.empty() && namespaces.empty();
}

std::string Scope::Text() const {
  if (IsWholeHost()) return "the whole host";
  std::vector<std::string> kinds;
  AddKind("cgroup", cgroups, &kinds);
  AddKind("user", users, &kinds);
  AddKind("executable", executables, &kinds);
  AddKind("namespace", namespaces, &kinds);
  return absl::StrJoin(kinds, " and ");
}

absl::StatusOr<ResolvedScope> ResolveScope(const Scope& scope) {
  for (const absl::Status& status :
       {CheckCount(scope.cgroups.size(), kMaxScopeCgroups, "cgroups"),
        CheckCount(scope.users.size(), kMaxScopeUsers, "users"),
        CheckCount(scope.executables.size(), kMaxScopeExecutables, "executables"),
        CheckCount(scope.namespaces.size(), kMaxScopeNamespaces, "namespaces")}) {
    if (!status.ok()) return status;
  }
  ResolvedScope resolved;
  for (const std::string& path : scope.cgroups) {
    absl::StatusOr<UniqueFd> cgroup = OpenCgroup(path);
    if (!cgroup.ok()) return cgroup.status();
    resolved.cgroups.push_back(*std::move(cgroup));
  }
  for (const std::string& user : scope.users) {
    const absl::StatusOr<uint32_t> uid = ResolveUser(user);
    if (!uid.ok()) return uid.status();
    resolved.uids.push_back(*uid);
  }
  for (const std::string& path : scope.executables) {
    absl::StatusOr<std::string> executable = ResolveExecutable(path);
    if (!executable.ok()) return executable.status();
    std::string target = LinkTarget(*executable);
    resolved.executables.push_back(*std::move(executable));
    if (!target.empty()) resolved.executables.push_back(std::move(target));
  }
  for (const std::string& name : scope.namespaces) {
    absl::Status status = CheckNamespace(name);
    if (!status.ok()) return status;
  }
  if (scope.namespaces.empty()) return resolved;
  if (!scope.pods_dir.starts_with('/')) {
    return absl::InvalidArgumentError(absl::StrCat("--pods-dir: '", Shown(scope.pods_dir),
                                                   "' is no absolute path of a directory"));
  }
  absl::StatusOr<std::string> root = FindCgroupRoot();
  if (!root.ok()) return root.status();
  resolved.cgroup_root = *std::move(root);
  return resolved;
}

absl::Status CheckScope(const Scope& scope) { return ResolveScope(scope).status(); }

uint64_t HashPath(std::string_view path, uint64_t seed) {
  uint64_t hash = seed;
  while (!path.empty()) {
    const size_t slash = path.rfind('/');
    std::string_view name = path.substr(slash == std::string_view::npos ? 0 : slash + 1);
    path = path.substr(0, slash == std::string_view::npos ? 0 : slash);
    for (bool is_last = false; !is_last;) {
      const std::string_view piece = name.substr(0, kPiece - 1);
      name.remove_prefix(piece.size());
      is_last = piece.size() < kPiece - 1;
      std::array<uint64_t, kPiece / sizeof(uint64_t)> words = {};
      std::memcpy(words.data(), piece.data(), piece.size());
      for (const uint64_t word : words) {
        hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
        hash ^= hash >> 32;
      }
    }
  }
  return hash;
}

}  // namespace tokenwatch
