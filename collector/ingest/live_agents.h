// Which agents are connected.
#ifndef TOKENWATCH_COLLECTOR_INGEST_LIVE_AGENTS_H_
#define TOKENWATCH_COLLECTOR_INGEST_LIVE_AGENTS_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "collector/ingest/agent_gate.h"

namespace tokenwatch {

// One agent's accepted stream.
class LiveAgent {
 public:
  virtual ~LiveAgent() = default;
  virtual const std::string& agent_id() const = 0;
  virtual const std::string& instance() const = 0;  // of the agent's process
  // By its certificate; where there is no gate, nobody. Does not change.
  virtual const AdmittedAgent& admitted() const = 0;
  virtual std::string Describe() const = 0;  // host and address, for a person
  // The same process has come back on another stream.
  virtual void OnReplaced() = 0;
  // The collector stops.
  virtual void OnShutdown() = 0;
  // It may not report any more, for this reason: its stream ends at once.
  virtual void OnRefused(const absl::Status& status) = 0;
};

// At most one stream an agent id. Thread safe; calls no LiveAgent under its lock.
class LiveAgents {
 public:
  // AlreadyExists where another process with this agent id is connected. A stream of the same
  // process is replaced.
  absl::Status Enter(std::shared_ptr<LiveAgent> agent);
  // Does nothing where `agent` has been replaced, or never entered.
  void Leave(const LiveAgent* agent);

  // Has every agent leave for which `check` is not OK. Returns how many.
  size_t RefuseAll(const std::function<absl::Status(const AdmittedAgent& agent)>& check);

  bool Contains(const std::string& agent_id) const;
  size_t size() const;

  // Tells all; later calls of Enter are Unavailable.
  void Shutdown();

 private:
  mutable absl::Mutex mutex_;
  bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, std::shared_ptr<LiveAgent>> agents_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_INGEST_LIVE_AGENTS_H_
