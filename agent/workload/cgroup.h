// What a control group's path tells of a process.
#ifndef TOKENWATCH_AGENT_WORKLOAD_CGROUP_H_
#define TOKENWATCH_AGENT_WORKLOAD_CGROUP_H_

#include <array>
#include <string>
#include <string_view>

#include "absl/types/span.h"

namespace tokenwatch {

// The innermost systemd unit of a path: its last element that is the name of a service, scope,
// socket, mount or swap. Empty where there is none; a slice only holds units.
std::string_view UnitOf(std::string_view cgroup);

// How a runtime names the group of a container: `before`, the id, `after`. The id is 64 hexadecimal
// digits or, where `named`, a machine's name.
struct ContainerRow {
  std::string_view runtime;
  std::string_view before;
  std::string_view after;
  bool named = false;
  // The element may begin with other things than `before`.
  bool anywhere = false;
  // Paths, with <ID> for the id that is found in them; a test walks them.
  std::array<std::string_view, 4> samples = {};
  std::array<std::string_view, 2> near_misses = {};
};

absl::Span<const ContainerRow> ContainerRows();

// Whether it is a container's id and no machine's name.
bool IsContainerId(std::string_view text);

// The uid of the innermost pod. Empty outside of Kubernetes.
std::string PodUidOf(std::string_view cgroup);

// The innermost container's id, or a machine's name with systemd's \xNN undone. Empty outside of
// containers.
std::string ContainerOf(std::string_view cgroup);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_WORKLOAD_CGROUP_H_
