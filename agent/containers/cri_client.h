// Asks one container runtime over the Container Runtime Interface.
#ifndef TOKENWATCH_AGENT_CONTAINERS_CRI_CLIENT_H_
#define TOKENWATCH_AGENT_CONTAINERS_CRI_CLIENT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/workload/container_lookup.h"

namespace tokenwatch {

// What a runtime says of a container.
struct CriContainer {
  std::string container_name, image;  // empty of a sandbox itself
  std::string pod, namespace_name, pod_uid;
  // It is the one that was asked for; else only its pod is.
  bool exact = false;
  std::map<std::string, std::string> labels;  // of the pod, the kubelet's own among them
};

// Speaks runtime.v1, or runtime.v1alpha2 where that is not implemented. Reads only: it lists and
// describes. Every call has a deadline and a bound of what an answer may hold.
//
// Errors: Unavailable, the socket cannot be connected to; DeadlineExceeded, it is connected but
// slow; DataLoss, what answers is no runtime. Not thread safe.
class CriClient {
 public:
  static constexpr int kMaxAnswerBytes = 4 << 20;

  // Connects to the Unix socket `path` and asks for the runtime's version. Each call, this one
  // included, takes at most `deadline`.
  static absl::StatusOr<std::unique_ptr<CriClient>> Connect(const std::string& path,
                                                            absl::Duration deadline);
  ~CriClient();

  // Nothing where the runtime knows of no such container, by now, and of no such pod. Makes up to
  // three calls. A container whose pod it has forgotten has a name and no pod.
  absl::StatusOr<std::optional<CriContainer>> Describe(const ContainerKey& key);

  // For people: "containerd 1.6.20, runtime.v1".
  const std::string& Runtime() const { return runtime_; }
  uint64_t calls() const { return calls_; }

 private:
  class Api;
  template <typename Service>
  class ApiOf;

  CriClient(std::string path, absl::Duration deadline);
  template <typename Request, typename Response>
  absl::Status Call(const char* name, const Request& request, Response* response);

  const std::string path_;
  const absl::Duration deadline_;
  std::unique_ptr<Api> api_;
  std::string runtime_;
  uint64_t calls_ = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CONTAINERS_CRI_CLIENT_H_
