// The agent: two processes. The broker, which is the one that was started, has the capabilities: it
// attaches to the kernel, starts the worker, and answers its requests. The worker (worker.h) has
// none, and is the path of a token from the kernel's ring to the spool.
#ifndef TOKENWATCH_AGENT_AGENT_H_
#define TOKENWATCH_AGENT_AGENT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "agent/broker/worker_process.h"
#include "agent/capture/scope.h"
#include "agent/common/service_notifier.h"
#include "agent/containers/container_resolver.h"
#include "agent/token/formats/formats.h"
#include "agent/token/privacy.h"

namespace tokenwatch {

struct AgentOptions {
  std::string collector;  // HOST:PORT or unix:PATH
  std::vector<std::string> key_files;
  std::string spool_dir = "/var/lib/tokenwatch-agent";
  uint64_t spool_max_bytes = uint64_t{256} << 20;
  Scope scope;
  // Its pods_dir is that of `scope`.
  ContainerOptions containers;
  FormatOptions formats;
  std::vector<std::string> cookies;  // that are credentials (agent/token/carriers/cookie_rules.h)
  PrivacySettings privacy;
  bool take_over = false;  // from the agent that uses the spool directory, where there is one
  bool inbound = false;
  bool plaintext = false;
  std::string host_name;           // in what is reported; empty: the kernel's
  std::string enrol_secret_file;   // empty: none is given
  std::string status_listen;       // HOST:PORT; empty: none
  std::string fingerprint_listen;  // path of a Unix socket; empty: none
  std::string socket_backend = "auto";
  std::string probe_sites = "auto";    // or "public": no sites by disassembly
  std::string return_probes = "auto";  // or "kernel": no sites for returns
  std::string worker_user;             // whom the worker runs as; empty: FindWorkerUser decides
};

// The broker.
class Agent {
 public:
  // Ready when it returns: from then on, requests are seen. Errors, the worker's among them, are
  // sentences that say what to do; Cancelled where SIGTERM or SIGINT, which are blocked, came
  // meanwhile. `forked` is the broker's side.
  static absl::StatusOr<std::unique_ptr<Agent>> Create(const AgentOptions& options, Forked forked);
  ~Agent();

  // Runs until the worker has ended, and tells it to when `*stop` is set, which is looked at about
  // once a second and after each signal. `notifier` is told on this thread that the agent is ready,
  // how it is, and of the rounds of the loop that drains the ring buffer, as the worker tells them.
  // `each_turn` is called as often as `stop` is looked at. The worker's exit status, which is
  // kWorkerHandedOver where another agent has taken over.
  absl::StatusOr<int> Run(const std::atomic<bool>& stop, ServiceNotifier* notifier,
                          absl::FunctionRef<void()> each_turn);

 private:
  struct Parts;
  explicit Agent(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_AGENT_H_
