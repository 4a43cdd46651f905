// The container runtime's socket, which tells the names of containers and pods.
#include <sys/stat.h>

#include <cerrno>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "agent/doctor/check.h"
#include "agent/doctor/connection.h"

namespace tokenwatch {
namespace {

constexpr const char* kSockets[] = {"/run/containerd/containerd.sock",
                                    "/run/k3s/containerd/containerd.sock", "/run/crio/crio.sock"};

}  // namespace

std::vector<Finding> CheckContainerRuntime(const DoctorContext& context) {
  std::vector<Finding> findings;
  for (const char* socket : kSockets) {
    const std::string path = context.host.root + socket;
    struct stat info;
    if (stat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) continue;
    const absl::StatusOr<UniqueFd> fd =
        ConnectTo({.host = "", .port = 0, .path = path}, context.host.patience);
    if (fd.ok()) {
      findings.push_back(Ok(socket, "takes connections"));
    } else {
      findings.push_back(Degraded(
          socket, std::string(fd.status().message()),
          "start the runtime, or run as root; until then containers are known by their id only"));
    }
  }
  if (findings.empty()) {
    findings.push_back(Ok("no container runtime with a CRI socket", "none is needed without pods"));
  }
  return findings;
}

}  // namespace tokenwatch
