// The gRPC interface over a real in-process server.
#include "collector/api/query_service.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "collector/store/fake_store.h"

namespace tokenwatch {
namespace {

// A store whose tail gives what the test commits.
class TailStore : public FakeStore {
 public:
  void Add(const std::string& host) {
    const absl::MutexLock lock(&mutex_);
    uses_.emplace_back().set_host(host);
  }
  absl::StatusOr<std::vector<v1::Use>> UsesAfter(const v1::ListRequest& request,
                                                 std::string* cursor, uint32_t limit) override {
    if (request.status() == "bad") return absl::InvalidArgumentError("status: \"bad\" is none");
    const absl::MutexLock lock(&mutex_);
    size_t from = cursor->empty() ? uses_.size() : std::stoul(*cursor);
    std::vector<v1::Use> uses;
    for (; from < uses_.size() && uses.size() < limit; ++from) uses.push_back(uses_[from]);
    *cursor = std::to_string(from);
    return uses;
  }

 private:
  absl::Mutex mutex_;
  std::vector<v1::Use> uses_;
};

class QueryServiceTest : public testing::Test {
 protected:
  QueryServiceTest() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = v1::Query::NewStub(grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                                   grpc::InsecureChannelCredentials()));
  }
  ~QueryServiceTest() override {
    service_.Shutdown();
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
  }

  TailStore store_;
  Queries queries_{&store_, [](const std::string&) { return true; }};
  QueryService service_{&queries_};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::Query::Stub> stub_;
};

TEST_F(QueryServiceTest, AnswersAsTheStoreDoes) {
  store_.list_uses.add_uses()->set_host("a\xff");
  store_.list_tokens.add_tokens()->set_token_id("tok_x");
  store_.stats.set_uses(3);
  store_.list_agents.add_agents()->set_agent("agt_x");
  v1::ProgramCoverage* program = store_.list_agents.add_coverage();
  program->set_comm("c\xff");
  program->add_reasons()->set_reason("go");
  {
    grpc::ClientContext context;
    v1::ListUsesResponse response;
    ASSERT_TRUE(stub_->ListUses(&context, {}, &response).ok());
    EXPECT_EQ(response.uses(0).host(), "a\xef\xbf\xbd") << "a client could not parse other bytes";
  }
  {
    grpc::ClientContext context;
    v1::ListTokensResponse response;
    ASSERT_TRUE(stub_->ListTokens(&context, {}, &response).ok());
    EXPECT_EQ(response.tokens(0).token_id(), "tok_x");
  }
  {
    grpc::ClientContext context;
    v1::Stats response;
    ASSERT_TRUE(stub_->GetStats(&context, {}, &response).ok());
    EXPECT_EQ(response.uses(), 3U);
  }
  {
    grpc::ClientContext context;
    v1::ListAgentsResponse response;
    ASSERT_TRUE(stub_->ListAgents(&context, {}, &response).ok());
    EXPECT_TRUE(response.agents(0).connected());
    ASSERT_EQ(response.coverage_size(), 1);
    EXPECT_EQ(response.coverage(0).comm(), "c\xef\xbf\xbd");
    EXPECT_EQ(response.coverage(0).reasons(0).reason(), "go");
  }
  DetectionCommit commit;
  v1::Finding& finding = commit.findings.emplace_back().finding;
  finding.set_finding_id("fnd_35602yf42tr1pnyk1wrynxw9gd");
  finding.set_severity("low");
  finding.set_state("closed");
  finding.set_title("t\xff");
  ASSERT_TRUE(store_.detection()->CommitDetection(commit).ok());
  {
    grpc::ClientContext context;
    v1::ListFindingsResponse response;
    ASSERT_TRUE(stub_->ListFindings(&context, {}, &response).ok());
    ASSERT_EQ(response.findings_size(), 1);
    EXPECT_EQ(response.findings(0).title(), "t\xef\xbf\xbd");
  }
  {
    grpc::ClientContext context;
    v1::GetFindingRequest request;
    request.set_finding_id("fnd_35602yf42tr1pnyk1wrynxw9gd");
    v1::Finding response;
    ASSERT_TRUE(stub_->GetFinding(&context, request, &response).ok());
    EXPECT_EQ(response.severity(), "low");
  }
}

TEST_F(QueryServiceTest, ErrorsKeepTheirCode) {
  v1::GetTokenRequest request;
  request.set_token_id("nonsense");
  grpc::ClientContext context;
  v1::TokenDetail response;
  EXPECT_EQ(stub_->GetToken(&context, request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  request.set_token_id("TOK_35602YF42TR1PNYK1WRYNXW9GD");
  grpc::ClientContext other;
  EXPECT_EQ(stub_->GetToken(&other, request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  request.set_token_id("tok_35602yf42tr1pnyk1wrynxw9gd");
  grpc::ClientContext third;
  EXPECT_EQ(stub_->GetToken(&third, request, &response).error_code(), grpc::StatusCode::NOT_FOUND);
  const RequestCounts::Counts counts = service_.Counts().Get();
  EXPECT_EQ(counts.at({"GetToken", "invalid_argument"}), 2U);
  EXPECT_EQ(counts.at({"GetToken", "not_found"}), 1U);
}

TEST_F(QueryServiceTest, TailGivesEachUseOnceFromItsBeginningOn) {
  store_.Add("before");
  grpc::ClientContext context;
  const std::unique_ptr<grpc::ClientReader<v1::Use>> reader = stub_->TailUses(&context, {});
  reader->WaitForInitialMetadata();
  v1::Use use;
  for (const char* host : {"one", "two", "three"}) {
    store_.Add(host);
    ASSERT_TRUE(reader->Read(&use));
    EXPECT_EQ(use.host(), host);
  }
  context.TryCancel();
  EXPECT_FALSE(reader->Read(&use));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(QueryServiceTest, TailResumesAtAToken) {
  store_.Add("one");
  store_.Add("two");
  v1::ListRequest request;
  request.set_page_token("1");
  grpc::ClientContext context;
  const std::unique_ptr<grpc::ClientReader<v1::Use>> reader = stub_->TailUses(&context, request);
  v1::Use use;
  ASSERT_TRUE(reader->Read(&use));
  EXPECT_EQ(use.host(), "two");
  context.TryCancel();
  reader->Finish();
}

TEST_F(QueryServiceTest, TailNamesABadFilter) {
  v1::ListRequest request;
  request.set_status("bad");
  grpc::ClientContext context;
  const std::unique_ptr<grpc::ClientReader<v1::Use>> reader = stub_->TailUses(&context, request);
  v1::Use use;
  EXPECT_FALSE(reader->Read(&use));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(QueryServiceTest, ShutdownEndsTails) {
  grpc::ClientContext context;
  const std::unique_ptr<grpc::ClientReader<v1::Use>> reader = stub_->TailUses(&context, {});
  reader->WaitForInitialMetadata();
  service_.Shutdown();
  v1::Use use;
  EXPECT_FALSE(reader->Read(&use));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(QueryServiceTest, TailsAreBounded) {
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::Use>>> readers;
  for (int i = 0; i < QueryService::kMaxTails; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    readers.push_back(stub_->TailUses(contexts.back().get(), {}));
    readers.back()->WaitForInitialMetadata();
  }
  grpc::ClientContext context;
  const std::unique_ptr<grpc::ClientReader<v1::Use>> reader = stub_->TailUses(&context, {});
  v1::Use use;
  EXPECT_FALSE(reader->Read(&use));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  service_.Shutdown();
  for (auto& each : readers) each->Finish();
}

TEST_F(QueryServiceTest, EveryMethodAsksForTheCredential) {
  QueryService guarded(&queries_, [](std::string_view authorization) {
    return authorization == "Bearer right" ? absl::OkStatus()
                                           : absl::UnauthenticatedError("no credential");
  });
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&guarded);
  const auto server = builder.BuildAndStart();
  const auto stub = v1::Query::NewStub(
      grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials()));
  const auto code_of = [&](const auto& call) {
    grpc::ClientContext context;
    return call(&context).error_code();
  };
  v1::ListRequest list;
  v1::GetTokenRequest get;
  v1::ListTokensResponse tokens;
  v1::TokenDetail detail;
  v1::ListUsesResponse uses;
  v1::Stats stats;
  v1::ListAgentsResponse agents;
  v1::ListFindingsResponse findings;
  v1::GetFindingRequest get_finding;
  v1::Finding finding;
  v1::Use use;
  const std::function<grpc::Status(grpc::ClientContext*)> calls[] = {
      [&](grpc::ClientContext* context) { return stub->ListTokens(context, list, &tokens); },
      [&](grpc::ClientContext* context) { return stub->GetToken(context, get, &detail); },
      [&](grpc::ClientContext* context) { return stub->ListUses(context, list, &uses); },
      [&](grpc::ClientContext* context) { return stub->GetStats(context, list, &stats); },
      [&](grpc::ClientContext* context) { return stub->ListAgents(context, list, &agents); },
      [&](grpc::ClientContext* context) { return stub->ListFindings(context, list, &findings); },
      [&](grpc::ClientContext* context) {
        return stub->GetFinding(context, get_finding, &finding);
      },
      [&](grpc::ClientContext* context) {
        const auto reader = stub->TailUses(context, list);
        while (reader->Read(&use)) {
        }
        return reader->Finish();
      },
  };
  for (const auto& call : calls) EXPECT_EQ(code_of(call), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(code_of([&](grpc::ClientContext* context) {
              context->AddMetadata("authorization", "Bearer right");
              return stub->ListTokens(context, list, &tokens);
            }),
            grpc::StatusCode::OK);
  guarded.Shutdown();
  server->Shutdown(std::chrono::system_clock::now());
}

}  // namespace
}  // namespace tokenwatch
