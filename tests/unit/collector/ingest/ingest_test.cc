// The service as a client sees it, over a real connection.
#include "collector/ingest/ingest.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "agent/common/token_id.h"
#include "collector/store/fake_store.h"
#include "tests/unit/agent/report/wait_for.h"
#include "tests/unit/collector/ingest/test_collector.h"

namespace tokenwatch {
namespace {

const std::string kStream = "0123456789abcdef";

std::string AgentId(uint8_t number) {
  const std::array<uint8_t, 16> bytes = {number};
  return CrockfordText("agt_", bytes);
}

v1::ReportRequest Hello(uint8_t agent, char instance = 'a') {
  v1::ReportRequest request;
  request.mutable_hello()->set_agent_id(AgentId(agent));
  request.mutable_hello()->set_instance(std::string(16, instance));
  request.mutable_hello()->set_host("machine");
  return request;
}

v1::ReportRequest OneUse(uint64_t sequence) {
  v1::ReportRequest request;
  v1::Batch* batch = request.mutable_batch();
  batch->set_stream_id(kStream);
  batch->set_first_sequence(sequence);
  batch->mutable_definitions()->add_contexts();
  batch->mutable_uses()->add_context(1);
  return request;
}

// One gRPC stream.
class Client {
 public:
  explicit Client(const std::string& address)
      : stub_(
            v1::Ingest::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))),
        stream_(stub_->Report(&context_)) {}
  ~Client() {
    context_.TryCancel();
    if (stream_) stream_->Finish();
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool Write(const v1::ReportRequest& request) { return stream_->Write(request); }
  bool Read(v1::ReportResponse* response) { return stream_->Read(response); }
  void WritesDone() { stream_->WritesDone(); }
  void Cancel() { context_.TryCancel(); }

  // Says hello; whether it was accepted.
  bool Enter(const v1::ReportRequest& hello) {
    v1::ReportResponse response;
    return Write(hello) && Read(&response) && response.stream_id().empty();
  }

  // Reads to the end; how the collector ended the stream.
  grpc::Status End() {
    v1::ReportResponse response;
    while (Read(&response)) {
    }
    const grpc::Status status = stream_->Finish();
    stream_ = nullptr;
    return status;
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<v1::Ingest::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ReportRequest, v1::ReportResponse>> stream_;
};

class IngestTest : public testing::Test {
 protected:
  uint64_t Counter(const std::string& name) {
    std::map<std::string, uint64_t> counters;
    collector_.ingest().AddCounters(&counters);
    return counters[name];
  }

  FakeStore store_;
  TestCollector collector_{&store_};
};

TEST_F(IngestTest, AcceptsCommitsAndAnswers) {
  Client client(collector_.address());
  ASSERT_TRUE(client.Enter(Hello(1)));
  EXPECT_TRUE(collector_.ingest().IsConnected(AgentId(1)));
  EXPECT_FALSE(collector_.ingest().IsConnected(AgentId(2)));
  ASSERT_TRUE(client.Write(OneUse(1)));
  v1::ReportResponse response;
  ASSERT_TRUE(client.Read(&response));
  EXPECT_EQ(response.stream_id(), kStream);
  EXPECT_EQ(response.committed_sequence(), 1u);
  EXPECT_EQ(store_.uses().size(), 1u);
  EXPECT_EQ(store_.uses().begin()->second.context->id, 1u);
  EXPECT_EQ(Counter("ingest_uses"), 1u);
  EXPECT_EQ(Counter("ingest_connected_agents"), 1u);
  EXPECT_EQ(store_.agents().count(AgentId(1)), 1u);
}

TEST_F(IngestTest, AHalfClosedStreamEndsWhenAllIsAnswered) {
  Client client(collector_.address());
  ASSERT_TRUE(client.Enter(Hello(1)));
  for (uint64_t i = 1; i <= 50; ++i) ASSERT_TRUE(client.Write(OneUse(i)));
  client.WritesDone();
  uint64_t answered = 0;
  for (v1::ReportResponse response; client.Read(&response);) {
    EXPECT_GT(response.committed_sequence(), answered);
    answered = response.committed_sequence();
  }
  EXPECT_EQ(answered, 50u);
  EXPECT_TRUE(client.End().ok());
  EXPECT_TRUE(WaitFor([&] { return !collector_.ingest().IsConnected(AgentId(1)); }));
}

TEST_F(IngestTest, RefusesABadHello) {
  v1::ReportRequest no_id = Hello(1);
  no_id.mutable_hello()->set_agent_id("agt_short");
  v1::ReportRequest no_instance = Hello(1);
  no_instance.mutable_hello()->clear_instance();
  v1::ReportRequest long_host = Hello(1);
  long_host.mutable_hello()->set_host(std::string(5000, 'x'));
  v1::ReportRequest many_keys = Hello(1);
  for (int i = 0; i < 100; ++i) many_keys.mutable_hello()->add_key_ids("key_862n1q9x");
  v1::ReportRequest heartbeat;
  heartbeat.mutable_heartbeat();
  for (const v1::ReportRequest& request :
       {no_id, no_instance, long_host, many_keys, OneUse(1), heartbeat, v1::ReportRequest()}) {
    Client client(collector_.address());
    client.Write(request);
    EXPECT_EQ(client.End().error_code(), grpc::StatusCode::INVALID_ARGUMENT)
        << request.ShortDebugString();
  }
  EXPECT_EQ(Counter("ingest_malformed"), 7u);
  EXPECT_EQ(Counter("ingest_connected_agents"), 0u);
  EXPECT_TRUE(store_.agents().empty());
}

TEST_F(IngestTest, EndsTheStreamAtAMalformedMessage) {
  v1::ReportRequest undefined = OneUse(2);
  undefined.mutable_batch()->mutable_uses()->set_context(0, 99);
  v1::ReportRequest counters;
  for (int i = 0; i < 5000; ++i) {
    (*counters.mutable_heartbeat()->mutable_counters())[std::to_string(i)] = 1;
  }
  v1::ReportRequest name;
  (*name.mutable_heartbeat()->mutable_counters())[std::string(5000, 'x')] = 1;
  for (const v1::ReportRequest& request : {undefined, Hello(1), counters, name}) {
    Client client(collector_.address());
    ASSERT_TRUE(client.Enter(Hello(1)));
    ASSERT_TRUE(client.Write(OneUse(1)));
    client.Write(request);
    const grpc::Status status = client.End();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
    EXPECT_TRUE(WaitFor([&] { return !collector_.ingest().IsConnected(AgentId(1)); }));
  }
  EXPECT_EQ(store_.uses().size(), 1u);
}

TEST_F(IngestTest, OneLiveProcessAnAgentId) {
  auto first = std::make_unique<Client>(collector_.address());
  ASSERT_TRUE(first->Enter(Hello(1, 'a')));
  Client other(collector_.address());
  EXPECT_TRUE(other.Enter(Hello(2, 'b')));
  Client clone(collector_.address());
  EXPECT_FALSE(clone.Enter(Hello(1, 'b')));
  EXPECT_EQ(clone.End().error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(Counter("ingest_refused_agents"), 1u);
  Client again(collector_.address());
  EXPECT_TRUE(again.Enter(Hello(1, 'a')));
  EXPECT_EQ(first->End().error_code(), grpc::StatusCode::ABORTED);
  again.Cancel();
  ASSERT_TRUE(WaitFor([&] { return !collector_.ingest().IsConnected(AgentId(1)); }));
  Client late(collector_.address());
  EXPECT_TRUE(late.Enter(Hello(1, 'b')));
}

TEST(IngestLimits, AStreamBeginsWithAHelloSoon) {
  FakeStore store;
  TestCollector collector(&store, 0, {}, {.hello_patience = absl::Seconds(2)});
  Client talks(collector.address());
  ASSERT_TRUE(talks.Enter(Hello(1)));
  Client silent(collector.address());
  EXPECT_EQ(silent.End().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  // Whoever has said hello may be silent.
  EXPECT_TRUE(talks.Write(OneUse(1)));
  v1::ReportResponse response;
  EXPECT_TRUE(talks.Read(&response));
  std::map<std::string, uint64_t> counters;
  collector.ingest().AddCounters(&counters);
  EXPECT_EQ(counters["ingest_silent_streams"], 1u);
}

TEST(IngestLimits, CallsOfAConnectionAreBounded) {
  FakeStore store;
  TestCollector collector(&store, 0, {}, {.calls_per_connection = 2});
  const auto stub = v1::Ingest::NewStub(
      grpc::CreateChannel(collector.address(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext contexts[3];
  std::unique_ptr<grpc::ClientReaderWriter<v1::ReportRequest, v1::ReportResponse>> streams[3];
  contexts[2].set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(300));
  v1::ReportResponse response;
  for (size_t i = 0; i < 3; ++i) {
    streams[i] = stub->Report(&contexts[i]);
    streams[i]->Write(Hello(static_cast<uint8_t>(i)));
    EXPECT_EQ(streams[i]->Read(&response), i < 2) << i;
  }
  EXPECT_EQ(streams[2]->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_FALSE(collector.ingest().IsConnected(AgentId(2)));
  for (size_t i = 0; i < 2; ++i) {
    contexts[i].TryCancel();
    streams[i]->Finish();
  }
}

TEST_F(IngestTest, AFailingStoreAnswersNothing) {
  store_.SetCommitHook(
      [](absl::Span<const IngestBatch>) { return absl::ResourceExhaustedError("disk is full"); });
  Client client(collector_.address());
  ASSERT_TRUE(client.Enter(Hello(1)));
  ASSERT_TRUE(client.Write(OneUse(1)));
  v1::ReportResponse response;
  EXPECT_FALSE(client.Read(&response));
  const grpc::Status status = client.End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_NE(status.error_message().find("disk is full"), std::string::npos);
}

TEST_F(IngestTest, AStoppingCollectorAnswersWhatItHas) {
  absl::Notification committing;
  absl::Notification go_on;
  store_.SetCommitHook([&](absl::Span<const IngestBatch>) {
    if (!committing.HasBeenNotified()) {
      committing.Notify();
      go_on.WaitForNotification();
    }
    return absl::OkStatus();
  });
  Client client(collector_.address());
  ASSERT_TRUE(client.Enter(Hello(1)));
  ASSERT_TRUE(client.Write(OneUse(1)));
  committing.WaitForNotification();
  std::thread stopper([&] { collector_.ingest().Shutdown(); });
  go_on.Notify();
  v1::ReportResponse response;
  ASSERT_TRUE(client.Read(&response));
  EXPECT_EQ(response.committed_sequence(), 1u);
  EXPECT_EQ(client.End().error_code(), grpc::StatusCode::UNAVAILABLE);
  stopper.join();
  Client late(collector_.address());
  EXPECT_FALSE(late.Enter(Hello(2)));
  EXPECT_EQ(late.End().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(IngestPressure, AnAgentThatSendsTooMuchIsNotReadUntilThereIsRoom) {
  FakeStore store;
  absl::Notification committing;
  absl::Notification go_on;
  store.SetCommitHook([&](absl::Span<const IngestBatch>) {
    if (!committing.HasBeenNotified()) {
      committing.Notify();
      go_on.WaitForNotification();
    }
    return absl::OkStatus();
  });
  TestCollector collector(&store, 0, {.max_source_bytes = 4000});
  Client client(collector.address());
  ASSERT_TRUE(client.Enter(Hello(1)));
  constexpr uint64_t kUses = 2000;
  std::thread writer([&] {
    for (uint64_t i = 1; i <= kUses; ++i) {
      v1::ReportRequest request = OneUse(i);
      request.mutable_batch()->set_reset_dictionary(true);
      client.Write(request);
    }
  });
  committing.WaitForNotification();
  const auto counter = [&](const std::string& name) {
    std::map<std::string, uint64_t> counters;
    collector.ingest().AddCounters(&counters);
    return counters[name];
  };
  EXPECT_TRUE(WaitFor([&] { return counter("ingest_pauses") == 1; }));
  EXPECT_LT(counter("ingest_pending_bytes"), 8000u);
  go_on.Notify();
  uint64_t answered = 0;
  for (v1::ReportResponse response; answered < kUses && client.Read(&response);) {
    answered = response.committed_sequence();
  }
  EXPECT_EQ(answered, kUses);
  writer.join();
  EXPECT_EQ(store.uses().size(), kUses);
}

TEST(IngestCrowd, ServesManyAgentsAtOnce) {
  FakeStore store;
  TestCollector collector(&store);
  constexpr int kAgents = 40;
  std::vector<std::thread> threads;
  for (int a = 0; a < kAgents; ++a) {
    threads.emplace_back([&, a] {
      Client client(collector.address());
      ASSERT_TRUE(client.Enter(Hello(static_cast<uint8_t>(a))));
      for (uint64_t i = 1; i <= 20; ++i) ASSERT_TRUE(client.Write(OneUse(i)));
      uint64_t answered = 0;
      for (v1::ReportResponse response; answered < 20 && client.Read(&response);) {
        answered = response.committed_sequence();
      }
      EXPECT_EQ(answered, 20u);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store.uses().size(), kAgents * 20u);
  EXPECT_LT(store.commits(), kAgents * 20u) << "commits are shared";
}

}  // namespace
}  // namespace tokenwatch
