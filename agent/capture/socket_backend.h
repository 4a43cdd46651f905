// How plain HTTP is read at TCP sockets: the first backend that this kernel allows.
#ifndef TOKENWATCH_AGENT_CAPTURE_SOCKET_BACKEND_H_
#define TOKENWATCH_AGENT_CAPTURE_SOCKET_BACKEND_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/capture/kernel_programs.h"

namespace tokenwatch {

// Words that `--socket-backend` takes: auto, fentry, kprobe, tracepoint.
const std::vector<std::string>& SocketBackendNames();

class SocketBackend {
 public:
  // Tries `wanted`, or with "auto" fentry, kprobe and tracepoint in this order, by loading and
  // attaching. The error lists what each try ran into.
  static absl::StatusOr<std::unique_ptr<SocketBackend>> Attach(const KernelPrograms& programs,
                                                               const std::string& wanted);

  const std::string& name() const { return name_; }
  // What this backend cannot see, for the status page; empty: nothing known.
  const std::string& blind_to() const { return blind_to_; }
  // Why the backends before it were not taken; empty for the first.
  const std::string& rejected() const { return rejected_; }
  const bpf_object* object() const { return object_->obj; }
  // Sites, as the kernel names them.
  const std::vector<std::string>& sites() const { return sites_; }

 private:
  SocketBackend() = default;

  std::string name_, blind_to_, rejected_;
  std::vector<std::string> sites_;
  SocketObject object_;
  std::vector<Link> links_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_SOCKET_BACKEND_H_
