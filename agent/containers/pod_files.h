// What the kubelet leaves on the node's disk about a pod: the second source of names.
#ifndef TOKENWATCH_AGENT_CONTAINERS_POD_FILES_H_
#define TOKENWATCH_AGENT_CONTAINERS_POD_FILES_H_

#include <optional>
#include <string>
#include <string_view>

#include "agent/common/secret_buffer.h"

namespace tokenwatch {

struct PodName {
  std::string pod, namespace_name;
};

// From the directory of the pod's logs, <pods_dir>/<namespace>_<pod>_<uid>. Nothing where there is
// none.
std::optional<PodName> FindPodName(const std::string& pods_dir, std::string_view uid);

// The service account that a pod runs as.
//
// The container runtime is not told it. What the node has is the token that the kubelet projects
// into the pod, <kubelet_dir>/pods/<uid>/volumes/kubernetes.io~projected/*/token: the claims of a
// JWT name the account and the pod. Of that file the header and the claims are read, one byte at a
// time and only up to the second dot, so that no byte of the signature, without which it opens
// nothing, comes into this process; nothing is kept but the name. Claims that are not of this pod
// are not believed. Empty where the pod mounts no token, or one in the form of before
// Kubernetes 1.22.
//
// `root` is a directory in which the path is opened, so that an agent in a container sees the
// node's files: "/proc/1/root" or "/". The file is the kubelet's own, not what the container made
// of it.
std::string FindServiceAccount(const std::string& root, const std::string& kubelet_dir,
                               std::string_view uid);

// The second of a JWT's three parts, without a byte read behind the dot that ends it. Empty where
// there is none, or it has more than 8 KiB.
SecretBuffer ReadJwtClaims(int file);

// Of a JWT's claims, base64url. Empty where they are not those of a service account's token for
// this pod.
std::string ServiceAccountOfClaims(std::string_view claims, std::string_view uid);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CONTAINERS_POD_FILES_H_
