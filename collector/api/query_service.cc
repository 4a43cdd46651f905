#include "collector/api/query_service.h"

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace tokenwatch {
namespace {

constexpr absl::Duration kTailPause = absl::Milliseconds(200);
constexpr uint32_t kTailBatch = 1000;

}  // namespace

void QueryService::Shutdown() {
  const absl::MutexLock lock(&mutex_);
  stopped_ = true;
  changed_.SignalAll();
}

grpc::Status QueryService::Count(const char* method, const absl::Status& status) {
  counts_.Add(method, absl::AsciiStrToLower(absl::StatusCodeToString(status.code())));
  // The codes of absl are gRPC's.
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

absl::Status QueryService::Check(const grpc::ServerContext& context) const {
  if (!authorize_) return absl::OkStatus();
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find("authorization");
  if (found == metadata.end()) return authorize_("");
  return authorize_({found->second.data(), found->second.size()});
}

template <typename Answer, typename Ask>
grpc::Status QueryService::Finish(const grpc::ServerContext& context, const char* method,
                                  const Ask& ask, Answer* response) {
  absl::Status status = Check(context);
  if (status.ok()) {
    absl::StatusOr<Answer> answer = ask();
    status = answer.status();
    if (status.ok()) *response = *std::move(answer);
  }
  return Count(method, status);
}

grpc::Status QueryService::ListTokens(grpc::ServerContext* context, const v1::ListRequest* request,
                                      v1::ListTokensResponse* response) {
  return Finish(*context, "ListTokens", [&] { return queries_->ListTokens(*request); }, response);
}

grpc::Status QueryService::GetToken(grpc::ServerContext* context,
                                    const v1::GetTokenRequest* request, v1::TokenDetail* response) {
  return Finish(
      *context, "GetToken", [&] { return queries_->GetToken(request->token_id()); }, response);
}

grpc::Status QueryService::ListUses(grpc::ServerContext* context, const v1::ListRequest* request,
                                    v1::ListUsesResponse* response) {
  return Finish(*context, "ListUses", [&] { return queries_->ListUses(*request); }, response);
}

grpc::Status QueryService::GetStats(grpc::ServerContext* context, const v1::ListRequest* request,
                                    v1::Stats* response) {
  return Finish(*context, "GetStats", [&] { return queries_->GetStats(*request); }, response);
}

grpc::Status QueryService::ListAgents(grpc::ServerContext* context, const v1::ListRequest* request,
                                      v1::ListAgentsResponse* response) {
  return Finish(*context, "ListAgents", [&] { return queries_->ListAgents(*request); }, response);
}

grpc::Status QueryService::ListFindings(grpc::ServerContext* context,
                                        const v1::ListRequest* request,
                                        v1::ListFindingsResponse* response) {
  return Finish(
      *context, "ListFindings", [&] { return queries_->ListFindings(*request); }, response);
}

grpc::Status QueryService::GetFinding(grpc::ServerContext* context,
                                      const v1::GetFindingRequest* request, v1::Finding* response) {
  return Finish(
      *context, "GetFinding", [&] { return queries_->GetFinding(request->finding_id()); },
      response);
}

grpc::Status QueryService::ListOwners(grpc::ServerContext* context, const v1::ListRequest* request,
                                      v1::ListOwnersResponse* response) {
  return Finish(*context, "ListOwners", [&] { return queries_->ListOwners(*request); }, response);
}

grpc::Status QueryService::GetPolicy(grpc::ServerContext* context,
                                     const v1::GetPolicyRequest* /*request*/,
                                     v1::PolicyStatus* response) {
  return Finish(*context, "GetPolicy", [&] { return queries_->GetPolicy(); }, response);
}

grpc::Status QueryService::TailUses(grpc::ServerContext* context, const v1::ListRequest* request,
                                    grpc::ServerWriter<v1::Use>* writer) {
  if (absl::Status status = Check(*context); !status.ok()) return Count("TailUses", status);
  {
    const absl::MutexLock lock(&mutex_);
    if (tails_ == kMaxTails) {
      return Count("TailUses", absl::ResourceExhaustedError(absl::StrCat(
                                   kMaxTails, " tails are open already; end one and try again")));
    }
    ++tails_;
  }
  const absl::Cleanup leave = [this] {
    const absl::MutexLock lock(&mutex_);
    --tails_;
  };
  return Count("TailUses", Tail(context, *request, writer));
}

absl::Status QueryService::Tail(grpc::ServerContext* context, v1::ListRequest request,
                                grpc::ServerWriter<v1::Use>* writer) {
  request.set_limit(kTailBatch);
  do {
    absl::StatusOr<v1::TailUsesResponse> answer = queries_->TailUses(request);
    if (!answer.ok()) return answer.status();
    // A client that went away is noticed by the next use, or by the context below.
    for (const v1::Use& use : answer->uses()) {
      if (!writer->Write(use)) return absl::CancelledError("the client is gone");
    }
    // Headers tell the client that its tail has begun: what is committed from now on will come.
    if (request.page_token().empty()) writer->SendInitialMetadata();
    request.set_page_token(answer->next_page_token());
  } while (!context->IsCancelled() && !StoppedAfterPause());
  return context->IsCancelled() ? absl::CancelledError("the client is gone")
                                : absl::UnavailableError("the collector stops");
}

bool QueryService::StoppedAfterPause() {
  const absl::MutexLock lock(&mutex_);
  if (!stopped_) changed_.WaitWithTimeout(&mutex_, kTailPause);
  return stopped_;
}

}  // namespace tokenwatch
