// Which socket backends this kernel would take, without watching anything.
#ifndef TOKENWATCH_AGENT_CAPTURE_SOCKET_TRIAL_H_
#define TOKENWATCH_AGENT_CAPTURE_SOCKET_TRIAL_H_

#include <string>
#include <vector>

namespace tokenwatch {

struct SocketTrial {
  std::string backend;  // a word of SocketBackendNames
  std::string refused;  // a clause for people; empty: it works
};

// In the order in which they would be chosen. Attaches a program that does nothing, for a moment,
// to bpf_fentry_test1, which the kernel has for its own tests and never calls, and to nothing else;
// whether the objects of bpf/ load is not tried. Needs CAP_SYS_ADMIN, as the backends do.
std::vector<SocketTrial> TrySocketBackends();

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_SOCKET_TRIAL_H_
