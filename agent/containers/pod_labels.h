// Which labels of a pod are told.
#ifndef TOKENWATCH_AGENT_CONTAINERS_POD_LABELS_H_
#define TOKENWATCH_AGENT_CONTAINERS_POD_LABELS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace tokenwatch {

// What Kubernetes and most charts name programs by.
inline const std::vector<std::string>& DefaultPodLabels() {
  static const auto* const labels =
      new std::vector<std::string>{"app", "app.kubernetes.io/*", "k8s-app"};
  return *labels;
}

class PodLabels {
 public:
  static constexpr size_t kMaxLabels = 16;
  static constexpr size_t kMaxBytes = 1024;  // of all, joined

  // Names, or beginnings of names followed by '*'; "all" and "none" stand alone. InvalidArgument is
  // a sentence.
  static absl::StatusOr<PodLabels> Create(const std::vector<std::string>& wanted);

  // The wanted ones, "name=value" sorted by name and joined by ','. Those of the kubelet
  // (io.kubernetes.*) are none of the pod's. What has no label's form, which the API server would
  // not have taken, and what is beyond the bounds is left out and counted in `*dropped`.
  std::string Join(const std::map<std::string, std::string>& labels, uint64_t* dropped) const;

 private:
  explicit PodLabels(std::vector<std::string> wanted) : wanted_(std::move(wanted)) {}
  bool Wants(std::string_view name) const;

  std::vector<std::string> wanted_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CONTAINERS_POD_LABELS_H_
