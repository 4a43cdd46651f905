// Takes in what agents report.
#ifndef TOKENWATCH_COLLECTOR_INGEST_INGEST_H_
#define TOKENWATCH_COLLECTOR_INGEST_INGEST_H_

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "collector/ingest/committer.h"
#include "collector/ingest/live_agents.h"
#include "collector/ingest/session.h"
#include "collector/store/store.h"
#include "tokenwatch/v1/ingest.grpc.pb.h"

namespace tokenwatch {

// What peers may take of this process, whoever they are.
struct PeerLimits {
  absl::Duration hello_patience = absl::Seconds(20);  // for the first message of a stream
  absl::Duration handshake_patience = absl::Seconds(20);
  absl::Duration idle_patience = absl::Minutes(1);       // for a connection without a call
  absl::Duration connection_life = absl::Hours(24 * 7);  // then it is to come again
  int calls_per_connection = 4;                          // more wait at the client
  size_t memory_bytes = size_t{512} << 20;  // of all connections; beyond, new calls are refused
};

// The Ingest service and the thread that commits for it. The order of things:
//
//   Ingest ingest(store, {});
//   ingest.Register(&builder);          // before BuildAndStart
//   ...
//   ingest.Shutdown();                  // commits and answers what was received
//   server->Shutdown(deadline);         // a second is plenty: streams have ended
//   server.reset();                     // before `ingest` goes
class Ingest {
 public:
  // `store` and `gate` outlive the object. Without a gate whoever connects may report.
  Ingest(Store* store, const CommitterOptions& options, AgentGate* gate = nullptr,
         const PeerLimits& limits = {});
  ~Ingest();  // Shutdown
  Ingest(const Ingest&) = delete;
  Ingest& operator=(const Ingest&) = delete;

  // Adds the service and what it needs of the server: agents' keepalive pings are welcome, a silent
  // peer is noticed, and nobody gets more than the limits. They hold for all services of the
  // server; synchronous ones get a bounded number of threads.
  void Register(grpc::ServerBuilder* builder);

  // Ends the streams of agents that the gate does not let through any more. Any thread.
  void CheckAgents();

  // Whether an agent with this id is connected now. Any thread.
  bool IsConnected(const std::string& agent_id) const { return live_.Contains(agent_id); }

  // Totals since the start, "ingest_" and snake_case; `ingest_connected_agents` and
  // `ingest_pending_bytes` are of now. Any thread.
  void AddCounters(std::map<std::string, uint64_t>* counters) const;

  // Grows while the thread that commits lives, see Committer. Any thread.
  uint64_t CommitRounds() const { return committer_.Rounds(); }

  // Takes no more, commits and answers what was received, ends the streams. Idempotent.
  void Shutdown();

 private:
  class Service;

  const PeerLimits limits_;
  LiveAgents live_;
  Committer committer_;
  IngestShared shared_;
  std::unique_ptr<Service> service_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_INGEST_INGEST_H_
