// Finds out whose container is which: from the container runtime, else from what the kubelet leaves
// on the disk.
#ifndef TOKENWATCH_AGENT_CONTAINERS_CONTAINER_RESOLVER_H_
#define TOKENWATCH_AGENT_CONTAINERS_CONTAINER_RESOLVER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/common/clock.h"
#include "agent/common/counters.h"
#include "agent/containers/cri_client.h"
#include "agent/containers/pod_labels.h"
#include "agent/report/backoff.h"
#include "agent/workload/container_lookup.h"

namespace tokenwatch {

struct ContainerOptions {
  std::string cri_socket = "auto";  // or "none", or "unix:/PATH"
  std::vector<std::string> pod_labels = DefaultPodLabels();
  std::string service_accounts = "token";  // or "none"
  std::string kubelet_dir = "/var/lib/kubelet";
  std::string pods_dir = "/var/log/pods";
};

// InvalidArgument in a sentence that names the flag.
absl::Status CheckContainerOptions(const ContainerOptions& options);

// Where runtimes have their sockets; "auto" takes the first that exists.
inline constexpr const char* kCriSockets[] = {
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/crio/crio.sock",
};

// Owns the thread that asks, so that Find never waits. While a runtime cannot be asked, names come
// from the kubelet's directories alone, without delay, and are completed when it can. Any thread.
class ContainerResolver : public ContainerLookup {
 public:
  struct Limits {
    size_t containers = 4096;  // the one longest not asked for is forgotten for a new one
    absl::Duration kept = absl::Minutes(2);      // after the last process that holds it is gone
    absl::Duration deadline = absl::Seconds(1);  // of a call to the runtime
    // How long a pod's container that the runtime does not know yet is waited for: runtimes tell of
    // a container a moment after its first process has begun.
    absl::Duration young = absl::Milliseconds(1500);
    absl::Duration young_retry = absl::Milliseconds(100);
    absl::Duration retry = absl::Seconds(30);  // of what is not known, where somebody asks for it
    BackoffOptions backoff = {absl::Milliseconds(200), absl::Seconds(15)};
    std::vector<std::string> sockets{std::begin(kCriSockets), std::end(kCriSockets)};
    std::string host_root = "/proc/1/root";  // where kubelet_dir is opened, and what is not here
  };

  // `clock` must outlive it.
  static absl::StatusOr<std::unique_ptr<ContainerResolver>> Start(const ContainerOptions& options,
                                                                  const Clock* clock,
                                                                  Limits limits);
  static absl::StatusOr<std::unique_ptr<ContainerResolver>> Start(const ContainerOptions& options,
                                                                  const Clock* clock) {
    return Start(options, clock, Limits());
  }
  ~ContainerResolver() override;

  Answer Find(const ContainerKey& key) override;
  // Ends what no process holds any more. To be called every few seconds.
  void Sweep();

  ContainerStatus Status() override;
  void AddCounters(Counters* counters) override;

 private:
  struct Entry {
    ContainerKey key;
    State state = State::kPending;
    bool queued = false;
    std::shared_ptr<const ContainerIdentity> identity;
    uint64_t began_ns = 0;  // when it was first asked for
    uint64_t asked_ns = 0;  // when it was last asked for
    uint64_t retry_ns = 0;  // not to be looked for again before
    uint64_t session = 0;   // of the runtime that was asked; 0: none was
  };
  using Entries = std::list<Entry>;
  // What one search found.
  struct Finding {
    State state = State::kUnknown;
    ContainerIdentity identity;
    uint64_t session = 0;
  };

  ContainerResolver(const ContainerOptions& options, PodLabels labels, const Clock* clock,
                    Limits limits);

  uint64_t Now() const { return clock_->MonotonicNs(); }
  bool IsDue(const Entry& entry, uint64_t now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Queue(Entries::iterator entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Forget(Entries::iterator entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // The thread's.
  void Run();
  void ConnectIfDue();
  std::string PickSocket() const;
  Finding Search(const ContainerKey& key);
  absl::StatusOr<std::optional<CriContainer>> Ask(const ContainerKey& key);
  void Disconnect(const absl::Status& why);
  void Store(const ContainerKey& key, Finding finding);
  void TellDegraded(std::string degraded);

  const ContainerOptions options_;
  const PodLabels labels_;
  const Clock* const clock_;
  const Limits limits_;

  std::unique_ptr<CriClient> client_;  // the thread's, as the next three
  Backoff backoff_;
  uint64_t next_attempt_ns_ = 0;
  uint64_t counted_calls_ = 0;  // of client_

  mutable absl::Mutex mutex_;
  absl::CondVar changed_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool attempted_ ABSL_GUARDED_BY(mutex_) = false;  // to connect
  bool saw_pod_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t session_ ABSL_GUARDED_BY(mutex_) = 0;  // number of the connection; 0: not connected
  uint64_t sessions_ ABSL_GUARDED_BY(mutex_) = 0;
  Entries entries_ ABSL_GUARDED_BY(mutex_);  // the one longest not asked for first
  absl::flat_hash_map<std::string, Entries::iterator> by_key_ ABSL_GUARDED_BY(mutex_);
  std::deque<ContainerKey> queue_ ABSL_GUARDED_BY(mutex_);
  // Young ones that the runtime did not know: when each is looked for again.
  std::deque<std::pair<uint64_t, ContainerKey>> again_ ABSL_GUARDED_BY(mutex_);
  ContainerStatus status_ ABSL_GUARDED_BY(mutex_);
  Counters counters_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CONTAINERS_CONTAINER_RESOLVER_H_
