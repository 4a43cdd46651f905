// One agent's gRPC stream, from its hello to its end.
#ifndef TOKENWATCH_COLLECTOR_INGEST_SESSION_H_
#define TOKENWATCH_COLLECTOR_INGEST_SESSION_H_

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/common/clock.h"
#include "collector/ingest/agent_gate.h"
#include "collector/ingest/batch_decoder.h"
#include "collector/ingest/committer.h"
#include "collector/ingest/live_agents.h"
#include "collector/ingest/refusal_log.h"
#include "tokenwatch/v1/ingest.grpc.pb.h"

namespace tokenwatch {

// What a session shares with all others; outlives them.
struct IngestShared {
  Committer* committer = nullptr;
  LiveAgents* live = nullptr;
  AgentGate* gate = nullptr;  // null: whoever connects may report, as on loopback without TLS
  absl::Duration hello_patience = absl::Seconds(20);  // after which a stream without one ends
  std::atomic<uint64_t> ids{0};
  std::atomic<uint64_t> received_bytes{0};
  std::atomic<uint64_t> malformed{0};
  std::atomic<uint64_t> refused{0};
  std::atomic<uint64_t> silent{0};

  std::atomic<uint64_t> refused_certificates{0};
  const RealClock clock;
  RefusalLog refusals{&clock};
};

// gRPC's callback API: no thread belongs to a session, and no message is kept between two of them.
// Reading goes on while the committer has room; answers that wait for the stream are merged. Owns
// itself from Create until gRPC is done with it.
class Session : public grpc::ServerBidiReactor<v1::ReportRequest, v1::ReportResponse>,
                public CommitSource,
                public LiveAgent,
                public std::enable_shared_from_this<Session> {
 public:
  static Session* Create(grpc::CallbackServerContext* context, IngestShared* shared);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void OnCommitted(const std::string& stream, uint64_t last_sequence) override;
  void OnCommitFailed(const absl::Status& status) override;
  void OnRoom() override;

  const std::string& agent_id() const override { return info_.agent; }
  const std::string& instance() const override { return instance_; }
  const AdmittedAgent& admitted() const override { return admitted_; }
  std::string Describe() const override;
  void OnReplaced() override;
  void OnShutdown() override;
  void OnRefused(const absl::Status& status) override;

 private:
  Session(grpc::CallbackServerContext* context, IngestShared* shared);

  // Judges the peer by its certificate; nothing is read of one that is refused.
  void Begin(const grpc::CallbackServerContext& context);
  void ExpectHello();
  void LogRefusal(const std::string& kind, const absl::Status& why);
  void Read();
  // Sets *go_on to false where the next message must wait for OnRoom.
  absl::Status Handle(const v1::ReportRequest& request, bool* go_on);
  absl::Status HandleHello(const v1::Hello& hello);
  // Whether the agent may still report: its certificate ends while its stream goes on.
  absl::Status CheckAdmitted() const;
  absl::Status HandleBatch(const v1::Batch& batch, bool* go_on);
  absl::Status HandleHeartbeat(const v1::Heartbeat& heartbeat);
  void ReadOn();
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The first call decides; the stream ends once the answer in flight is written.
  void End(const grpc::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndIfIdle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  IngestShared* const shared_;
  std::shared_ptr<Session> self_;  // until OnDone

  // The reading side's, of which gRPC runs one reaction at a time. Fixed once the hello is
  // accepted.
  std::unique_ptr<v1::ReportRequest> request_;
  AgentInfo info_;
  std::string instance_;
  AdmittedAgent admitted_;
  std::unique_ptr<BatchDecoder> decoder_;  // null until the hello is accepted
  grpc::Alarm hello_late_;
  std::atomic<bool> entered_{false};

  absl::Mutex mutex_;
  v1::ReportResponse response_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::pair<std::string, uint64_t>> answers_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  size_t uncommitted_ ABSL_GUARDED_BY(mutex_) = 0;  // batches
  // How the stream ends when all that was received is committed and answered.
  std::optional<grpc::Status> last_words_ ABSL_GUARDED_BY(mutex_);
  std::optional<grpc::Status> ending_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_INGEST_SESSION_H_
