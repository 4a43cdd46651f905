// tokenwatch.v1.Query over gRPC.
#ifndef TOKENWATCH_COLLECTOR_API_QUERY_SERVICE_H_
#define TOKENWATCH_COLLECTOR_API_QUERY_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/common/steady_cond_var.h"
#include "collector/api/queries.h"
#include "collector/api/request_counts.h"
#include "tokenwatch/v1/query.grpc.pb.h"

namespace tokenwatch {

// Thread safe. A tail looks for new uses five times a second and holds a thread of the server; more
// than kMaxTails of them are refused with RESOURCE_EXHAUSTED.
class QueryService final : public v1::Query::Service {
 public:
  static constexpr int kMaxTails = 64;

  // Whether the value of `authorization` in a call's metadata lets its sender ask; any thread.
  using Authorize = std::function<absl::Status(std::string_view authorization)>;

  // `queries` must outlive this. Without `authorize` everybody may ask.
  explicit QueryService(const Queries* queries, Authorize authorize = nullptr)
      : queries_(queries), authorize_(std::move(authorize)) {}

  // Ends the tails; call before the server's Shutdown.
  void Shutdown();

  // Calls by method and status name. Any thread.
  const RequestCounts& Counts() const { return counts_; }

  grpc::Status ListTokens(grpc::ServerContext* context, const v1::ListRequest* request,
                          v1::ListTokensResponse* response) override;
  grpc::Status GetToken(grpc::ServerContext* context, const v1::GetTokenRequest* request,
                        v1::TokenDetail* response) override;
  grpc::Status ListUses(grpc::ServerContext* context, const v1::ListRequest* request,
                        v1::ListUsesResponse* response) override;
  grpc::Status TailUses(grpc::ServerContext* context, const v1::ListRequest* request,
                        grpc::ServerWriter<v1::Use>* writer) override;
  grpc::Status GetStats(grpc::ServerContext* context, const v1::ListRequest* request,
                        v1::Stats* response) override;
  grpc::Status ListAgents(grpc::ServerContext* context, const v1::ListRequest* request,
                          v1::ListAgentsResponse* response) override;
  grpc::Status ListFindings(grpc::ServerContext* context, const v1::ListRequest* request,
                            v1::ListFindingsResponse* response) override;
  grpc::Status GetFinding(grpc::ServerContext* context, const v1::GetFindingRequest* request,
                          v1::Finding* response) override;
  grpc::Status ListOwners(grpc::ServerContext* context, const v1::ListRequest* request,
                          v1::ListOwnersResponse* response) override;
  grpc::Status GetPolicy(grpc::ServerContext* context, const v1::GetPolicyRequest* request,
                         v1::PolicyStatus* response) override;

 private:
  absl::Status Check(const grpc::ServerContext& context) const;
  grpc::Status Count(const char* method, const absl::Status& status);
  // Answers a call with what `ask` finds.
  template <typename Answer, typename Ask>
  grpc::Status Finish(const grpc::ServerContext& context, const char* method, const Ask& ask,
                      Answer* response);
  absl::Status Tail(grpc::ServerContext* context, v1::ListRequest request,
                    grpc::ServerWriter<v1::Use>* writer);
  // Waits for the next look; true where the service is shut down.
  bool StoppedAfterPause();

  const Queries* queries_;
  const Authorize authorize_;
  RequestCounts counts_;
  absl::Mutex mutex_;
  SteadyCondVar changed_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  int tails_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_API_QUERY_SERVICE_H_
