#include "collector/ingest/ingest.h"

namespace tokenwatch {
namespace {

constexpr int kMaxMessageBytes = 4 << 20;
constexpr int kKeepaliveTimeMs = 10'000;
constexpr int kKeepaliveTimeoutMs = 5'000;
constexpr int kMinPingIntervalMs = 1'000;

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

Ingest::Ingest(Store* store, const CommitterOptions& options, AgentGate* gate)
    : committer_(store, options) {
  shared_.gate = gate;
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
}

void Ingest::CheckAgents() {
  if (shared_.gate == nullptr) return;
  shared_.refused += live_.RefuseAll(
      [this](const AdmittedAgent& agent) { return shared_.gate->CheckStill(agent); });
}

void Ingest::AddCounters(std::map<std::string, uint64_t>* counters) const {
  committer_.AddCounters(counters);
  (*counters)["ingest_received_bytes"] += shared_.received_bytes;
  (*counters)["ingest_malformed"] += shared_.malformed;
  (*counters)["ingest_refused_agents"] += shared_.refused;
  (*counters)["ingest_connected_agents"] += live_.size();
}

void Ingest::Shutdown() {
  live_.Shutdown();
  committer_.Stop();
}

}  // namespace tokenwatch
