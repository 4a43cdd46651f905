#include "collector/ingest/ingest.h"

#include <grpcpp/resource_quota.h>

namespace tokenwatch {
namespace {

constexpr int kMaxMessageBytes = 4 << 20;
constexpr int kKeepaliveTimeMs = 10'000;
constexpr int kKeepaliveTimeoutMs = 5'000;
constexpr int kMinPingIntervalMs = 1'000;
constexpr absl::Duration kLastWords = absl::Minutes(1);  // of a connection whose life is over
// Synchronous services: queries, of which tails hold a thread each (QueryService::kMaxTails).
constexpr int kSyncQueues = 2, kMaxSyncThreads = 128;

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

}  // namespace

class Ingest::Service : public v1::Ingest::CallbackService {
 public:
  explicit Service(IngestShared* shared) : shared_(shared) {}

  grpc::ServerBidiReactor<v1::ReportRequest, v1::ReportResponse>* Report(
      grpc::CallbackServerContext* context) override {
    return Session::Create(context, shared_);
  }

 private:
  IngestShared* const shared_;
};

Ingest::Ingest(Store* store, const CommitterOptions& options, AgentGate* gate,
               const PeerLimits& limits)
    : limits_(limits), committer_(store, options) {
  shared_.gate = gate;
  shared_.hello_patience = limits.hello_patience;
  shared_.committer = &committer_;
  shared_.live = &live_;
  service_ = std::make_unique<Service>(&shared_);
}

Ingest::~Ingest() { Shutdown(); }

void Ingest::Register(grpc::ServerBuilder* builder) {
  builder->RegisterService(service_.get());
  builder->SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                              kMinPingIntervalMs);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits_.calls_per_connection);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                              Milliseconds(limits_.handshake_patience));
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, Milliseconds(limits_.idle_patience));
  // What no deadline of ours reaches, such as a call whose message never comes, ends with it. gRPC
  // varies it by a tenth, so that agents do not come back together.
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                              Milliseconds(limits_.connection_life));
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, Milliseconds(kLastWords));
  grpc::ResourceQuota quota("tokenwatch");
  quota.Resize(limits_.memory_bytes);
  quota.SetMaxThreads(kMaxSyncThreads);
  builder->SetResourceQuota(quota);
  using Option = grpc::ServerBuilder::SyncServerOption;
  builder->SetSyncServerOption(Option::NUM_CQS, kSyncQueues);
}

void Ingest::CheckAgents() {
  if (shared_.gate == nullptr) return;
  shared_.refused_certificates += live_.RefuseAll(
      [this](const AdmittedAgent& agent) { return shared_.gate->CheckStill(agent); });
}

void Ingest::AddCounters(std::map<std::string, uint64_t>* counters) const {
  committer_.AddCounters(counters);
  (*counters)["ingest_received_bytes"] += shared_.received_bytes;
  (*counters)["ingest_malformed"] += shared_.malformed;
  (*counters)["ingest_refused_agents"] += shared_.refused;
  (*counters)["ingest_refused_certificates"] += shared_.refused_certificates;
  (*counters)["ingest_silent_streams"] += shared_.silent;
  (*counters)["ingest_connected_agents"] += live_.size();
}

void Ingest::Shutdown() {
  live_.Shutdown();
  committer_.Stop();
}

}  // namespace tokenwatch
