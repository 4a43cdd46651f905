// The worker's side of ContainerLookup.
#ifndef TOKENWATCH_AGENT_BROKER_REMOTE_CONTAINERS_H_
#define TOKENWATCH_AGENT_BROKER_REMOTE_CONTAINERS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/broker/broker_client.h"
#include "agent/common/clock.h"
#include "agent/workload/container_lookup.h"

namespace tokenwatch {

// Keeps what the broker answers: what is known for good, what is pending for kPendingFor, and that
// nothing is known for kUnknownFor, so that many uses of one container are few requests. Any
// thread.
class RemoteContainers : public ContainerLookup {
 public:
  static constexpr absl::Duration kPendingFor = absl::Milliseconds(10);
  static constexpr absl::Duration kUnknownFor = absl::Seconds(1);
  static constexpr size_t kMaxKept = 4096;  // beyond it all are forgotten, and asked for again

  // What the draining thread waits for goes by `urgent`, the status by `other`. All outlive this.
  RemoteContainers(BrokerClient* urgent, BrokerClient* other, const Clock* clock)
      : urgent_(urgent), other_(other), clock_(clock) {}

  Answer Find(const ContainerKey& key) override;
  ContainerStatus Status() override;
  // Those of the broker's own lookup come with the rest of its counters.
  void AddCounters(Counters*) override {}

 private:
  struct Kept {
    Answer answer;
    uint64_t until_ns = 0;
  };

  BrokerClient* urgent_;
  BrokerClient* other_;
  const Clock* clock_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Kept> kept_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_BROKER_REMOTE_CONTAINERS_H_
