// How the kubelet names what belongs to a pod.
#ifndef TOKENWATCH_AGENT_CAPTURE_POD_NAMES_H_
#define TOKENWATCH_AGENT_CAPTURE_POD_NAMES_H_

#include <optional>
#include <string>
#include <string_view>

namespace tokenwatch {

struct PodDirectory {
  std::string_view name_space;
  std::string_view pod;
  std::string_view uid;
};

// A UUID, or the hash that a static pod has instead: letters, digits and '-', so it is safe in a
// path.
bool IsPodUid(std::string_view text);

// The parts of a directory's name below /var/log/pods, <namespace>_<pod>_<uid>; none of them has an
// underscore. Nothing where it is something else.
std::optional<PodDirectory> ParsePodDirectory(std::string_view name);

// The pod's uid in a cgroup directory's name, as ParsePodDirectory has it: `pod<uid>` under the
// cgroupfs driver; `kubepods-burstable-pod<uid>.slice`, with '_' for '-', under systemd's; and
// `kubepods-pod<uid>.slice:cri-containerd:<id>` where the runtime's driver is not the kubelet's.
// Empty where the name has none.
std::string PodUidOfCgroup(std::string_view name);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_POD_NAMES_H_
