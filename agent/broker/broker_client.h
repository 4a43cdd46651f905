// The worker's side: the seams of /proc, of the user database and of the kernel side, answered by
// the broker.
#ifndef TOKENWATCH_AGENT_BROKER_BROKER_CLIENT_H_
#define TOKENWATCH_AGENT_BROKER_BROKER_CLIENT_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "agent/broker/channel.h"
#include "agent/broker/request.h"
#include "agent/capture/capture_control.h"
#include "agent/capture/unique_fd.h"
#include "agent/common/listen_socket.h"
#include "agent/workload/proc.h"
#include "agent/workload/users.h"

namespace tokenwatch {

// Asks and waits for the answer. Any thread; threads wait for each other.
class BrokerClient {
 public:
  explicit BrokerClient(Channel channel) : channel_(std::move(channel)) {}

  // An empty message where the broker is gone: whoever reads it finds nothing in it, as for a
  // process that has ended. The worker's loop hears of the broker's end by itself.
  Channel::Message Call(const Request& request);

  uint64_t calls() const { return calls_; }

 private:
  std::atomic<uint64_t> calls_{0};
  absl::Mutex mutex_;
  Channel channel_ ABSL_GUARDED_BY(mutex_);
};

class RemoteProcReader : public ProcReader {
 public:
  // `client` outlives this.
  explicit RemoteProcReader(BrokerClient* client) : client_(client) {}

  std::vector<std::optional<Stat>> ReadStats(absl::Span<const uint32_t> pids) const override;
  std::string Comm(uint32_t pid) const override;
  std::string Link(uint32_t pid, std::string_view name) const override;
  std::optional<uint32_t> Uid(uint32_t pid) const override;
  std::optional<uint32_t> LoginUid(uint32_t pid) const override;
  std::string Cgroup(uint32_t pid, std::string_view controllers) const override;
  SecretBuffer Arguments(uint32_t pid) const override;
  bool Exists(uint32_t pid, const std::string& path) const override;

 private:
  BrokerClient* client_;
};

class RemoteUsers : public UserLookup {
 public:
  // `client` outlives this.
  explicit RemoteUsers(BrokerClient* client) : client_(client) {}
  Answer Find(uint32_t uid) override;

 private:
  BrokerClient* client_;
};

// Asks once for a process to be looked at, and for what was found until that is known: connections
// are many, processes are few.
class RemoteCapture : public CaptureControl {
 public:
  // What the draining thread waits for goes by `urgent`, where every answer is a quick one; the
  // status goes by `other`. Both outlive this.
  RemoteCapture(BrokerClient* urgent, BrokerClient* other) : urgent_(urgent), other_(other) {}

  bool LookAtProcess(uint64_t process, uint32_t pid, const std::string& exe) override;
  std::optional<TlsSight> SightOf(uint64_t process) override;
  void ForgetProcess(uint64_t process) override;
  bool WipeRing() override;
  CaptureStatus Status() override;
  void AddCounters(Counters* counters) override;

 private:
  BrokerClient* urgent_;
  BrokerClient* other_;
  absl::Mutex mutex_;
  // Of the processes that are or were looked at, and have not been forgotten.
  absl::flat_hash_map<uint64_t, std::optional<TlsSight>> sights_ ABSL_GUARDED_BY(mutex_);
};

// A connection to the collector's Unix socket, made by the broker.
absl::StatusOr<UniqueFd> ConnectCollector(BrokerClient* client);

// A socket that listens for the status pages, else for fingerprints, made by the broker.
absl::StatusOr<Listener> ListenThrough(BrokerClient* client, bool for_status);

// The bytes of the enrolment secret's file, read by the broker, or why it could not.
absl::StatusOr<SecretBuffer> ReadEnrolSecret(BrokerClient* client);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_BROKER_BROKER_CLIENT_H_
