// What is watched: the whole host, or what a person named of it.
#ifndef TOKENWATCH_AGENT_CAPTURE_SCOPE_H_
#define TOKENWATCH_AGENT_CAPTURE_SCOPE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/capture/unique_fd.h"

namespace tokenwatch {

// As it was asked for. Values of one kind are alternatives, kinds narrow each other; a kind without
// values does not narrow.
struct Scope {
  std::vector<std::string> cgroups;      // directories of a cgroup2 mount, and those below them
  std::vector<std::string> users;        // names or numbers: real uids
  std::vector<std::string> executables;  // paths as processes see them, in whatever mount namespace
  std::vector<std::string> namespaces;   // of Kubernetes
  std::string pods_dir = "/var/log/pods";  // where the kubelet has a directory for each pod

  bool IsWholeHost() const;
  // For a log: "the whole host", or the kinds with their values.
  std::string Text() const;
};

// Bounds of the maps in bpf/scope.h; of executables it has room for what their links name, too.
inline constexpr size_t kMaxScopeCgroups = 64;
inline constexpr size_t kMaxScopeUsers = 256;
inline constexpr size_t kMaxScopeExecutables = 256;
inline constexpr size_t kMaxScopeNamespaces = 256;
inline constexpr size_t kMaxScopePods = 4096;

// Components of an executable's path that the kernel side follows (TW_PATH_DEPTH); each mount point
// on the way takes one of them.
inline constexpr size_t kMaxPathComponents = 30;

// The same, as the kernel programs need it.
struct ResolvedScope {
  std::vector<UniqueFd> cgroups;  // in the order given
  std::vector<uint32_t> uids;
  // Without doubled slashes. What a path is a symbolic link to on this host follows it, as a
  // process is known by the file that the link leads to.
  std::vector<std::string> executables;
  std::string cgroup_root;  // of the cgroup2 mount; only where there are namespaces
};

// Errors are sentences: InvalidArgument for a value that cannot be right or too many of them,
// NotFound for a cgroup, user or cgroup2 mount that is not there.
absl::StatusOr<ResolvedScope> ResolveScope(const Scope& scope);

// What ResolveScope would say.
absl::Status CheckScope(const Scope& scope);

// The hash by which the kernel programs know the path of an executable (tw_hash_path of
// bpf/scope.h). `path` is absolute and as ResolvedScope has it.
uint64_t HashPath(std::string_view path, uint64_t seed);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_SCOPE_H_
