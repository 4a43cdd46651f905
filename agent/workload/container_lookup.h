// Whose container a process runs in, as far as the node knows.
#ifndef TOKENWATCH_AGENT_WORKLOAD_CONTAINER_LOOKUP_H_
#define TOKENWATCH_AGENT_WORKLOAD_CONTAINER_LOOKUP_H_

#include <memory>
#include <string>

#include "agent/common/counters.h"

namespace tokenwatch {

// Empty strings mean "not known" or "none". Bounded; still to be made safe to show.
struct ContainerIdentity {
  std::string container_name;  // as the pod's specification has it
  std::string image;
  std::string pod;
  std::string namespace_name;
  std::string service_account;
  std::string labels;  // of the pod: "name=value", sorted, joined by ','

  bool operator==(const ContainerIdentity&) const = default;
};

// What a control group's path tells of a container. Ids are 64 hexadecimal digits, made at random
// and never given out again, so an answer holds for good.
struct ContainerKey {
  std::string id;
  std::string pod_uid;  // empty outside of Kubernetes

  // Whether there is anything to ask about.
  bool empty() const { return id.empty() && pod_uid.empty(); }
  bool operator==(const ContainerKey&) const = default;
};

// Who is asked.
struct ContainerStatus {
  std::string socket;    // in use or tried last; empty: none
  std::string runtime;   // "containerd 1.6.20, runtime.v1"; empty while not connected
  std::string degraded;  // the mode's name and a sentence; empty: all is well
};

// Any thread.
class ContainerLookup {
 public:
  enum class State {
    kKnown,    // and will not change
    kPending,  // is being asked for: ask again soon
    kUnknown,  // by now; `identity` has what other sources know. May be known another time.
  };
  struct Answer {
    State state = State::kUnknown;
    std::shared_ptr<const ContainerIdentity> identity;  // may be null, but for kKnown
  };

  virtual ~ContainerLookup() = default;
  // Never waits. The first call for a key begins the search.
  virtual Answer Find(const ContainerKey& key) = 0;
  virtual ContainerStatus Status() = 0;
  virtual void AddCounters(Counters* counters) = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_WORKLOAD_CONTAINER_LOOKUP_H_
