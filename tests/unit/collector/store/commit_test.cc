// Exactly once, and every field of a use.
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/escaping.h"
#include "collector/store/user_id.h"
#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch::testing {
namespace {

TEST(Commit, KeepsEveryFieldOfAUse) {
  StoreFixture fixture;
  const auto context = Context([](UseContext& made) {
    made.workload.set_login_user("alice");
    made.workload.set_container_id("0123456789abcdef");
    made.workload.set_pod("pod-1");
    made.workload.set_namespace_("prod");
    made.workload.set_service_account("sync");
    made.provider = "example";
    made.query = "page&per_page";
    made.user_id = IdBytes(77);
  });
  UseRow row = Use(context, Token(5), kNow - kMinute + 7, 403);
  row.latency_us = 98765;
  row.local_port = 51234;
  row.count = 3;
  row.request_id = "req-17";
  IngestBatch batch = Batch("a", 9, 41, {row});
  batch.agent_address = "198.51.100.4";
  ASSERT_TRUE(fixture.store().Commit({batch}).ok());

  v1::Use expected;
  expected.mutable_time()->set_seconds((kNow - kMinute) / kSecond);
  expected.mutable_time()->set_nanos(7000);
  expected.set_token_id(TokenText(5));
  expected.set_key_id("key_00000001");
  expected.set_format("opaque");
  expected.set_provider("example");
  expected.set_carrier("authorization/bearer");
  expected.set_token_length(40);
  expected.set_method("GET");
  expected.set_scheme("https");
  expected.set_host("api.example.com");
  expected.set_path("/v1/items");
  expected.set_query("page&per_page");
  expected.set_http_version("1.1");
  expected.set_user_agent("test/1.0");
  expected.set_request_id("req-17");
  expected.set_status(403);
  expected.set_outcome("denied");
  expected.set_latency_us(98765);
  expected.set_peer_address("192.0.2.7");
  expected.set_peer_port(443);
  expected.set_peer_certainty("exact");
  expected.set_local_address("192.0.2.1");
  expected.set_local_port(51234);
  expected.set_agent_address("198.51.100.4");
  expected.set_direction("outbound");
  expected.set_probe("openssl");
  expected.set_count(3);
  expected.set_agent("agt_a");
  expected.set_stream(absl::BytesToHexString(IdBytes(9)));
  expected.set_sequence(41);
  expected.set_user_id(UserIdText(IdBytes(77)));
  *expected.mutable_workload() = context->workload;

  for (int round = 0; round < 2; ++round) {
    const std::vector<v1::Use> uses = fixture.Uses();
    ASSERT_EQ(uses.size(), 1);
    std::string difference;
    google::protobuf::util::MessageDifferencer differencer;
    differencer.ReportDifferencesToString(&difference);
    EXPECT_TRUE(differencer.Compare(expected, uses[0])) << difference;
    fixture.Reopen();
  }
}

TEST(Commit, KeepsAUseWithoutItsToken) {
  StoreFixture fixture;
  fixture.Add(
      {Use(PlainContext(), nullptr, kNow),
       Use(PlainContext(), Token(std::vector<std::pair<std::string, uint64_t>>()), kNow + 1)});
  const std::vector<v1::Use> uses = fixture.Uses();
  ASSERT_EQ(uses.size(), 2);
  for (const v1::Use& use : uses) {
    EXPECT_TRUE(use.unresolved());
    EXPECT_EQ(use.token_id(), "");
  }
  EXPECT_EQ(fixture.Stats().unresolved(), 2);
  EXPECT_EQ(fixture.Stats().uses(), 2);
  EXPECT_EQ(fixture.Stats().tokens(), 0);
  EXPECT_TRUE(fixture.Tokens().empty());
}

TEST(Commit, DropsWhatWasCommittedBefore) {
  StoreFixture fixture;
  const auto context = PlainContext();
  const auto uses = [&](int count) {
    std::vector<UseRow> rows;
    for (int i = 0; i < count; ++i) rows.push_back(Use(context, Token(1), kNow - kHour + i));
    return rows;
  };
  const auto committed = [&](uint64_t stream) {
    return fixture.store().CommittedSequence("agt_a", IdBytes(stream)).value();
  };
  EXPECT_EQ(committed(1), 0);
  ASSERT_TRUE(fixture.store().Commit({Batch("a", 1, 1, uses(10))}).ok());
  EXPECT_EQ(committed(1), 10);
  // The same again, a part of it, and an overlap: only 11 to 15 are new.
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(fixture.store().Commit({Batch("a", 1, 1, uses(10))}).ok());
    ASSERT_TRUE(fixture.store().Commit({Batch("a", 1, 4, uses(3))}).ok());
    ASSERT_TRUE(fixture.store().Commit({Batch("a", 1, 6, uses(10))}).ok());
    EXPECT_EQ(committed(1), 15);
    EXPECT_EQ(fixture.Uses().size(), 15);
    EXPECT_EQ(fixture.Stats().uses(), 15);
    EXPECT_EQ(fixture.Tokens()[0].uses(), 15);
    EXPECT_EQ(fixture.Agents()[0].uses(), 15);
    fixture.Reopen();  // nothing of this depends on memory
  }
  // A hole is committed all the same; what would fill it later counts as a retry.
  ASSERT_TRUE(fixture.store().Commit({Batch("a", 1, 21, uses(2))}).ok());
  ASSERT_TRUE(fixture.store().Commit({Batch("a", 1, 16, uses(5))}).ok());
  EXPECT_EQ(committed(1), 22);
  EXPECT_EQ(fixture.Uses().size(), 17);
  // Sequences of another stream and of another agent are their own.
  ASSERT_TRUE(fixture.store().Commit({Batch("a", 2, 1, uses(3)), Batch("b", 1, 1, uses(4))}).ok());
  EXPECT_EQ(committed(2), 3);
  EXPECT_EQ(fixture.Uses().size(), 24);
  std::set<std::string> seen;
  for (const v1::Use& use : fixture.Uses()) {
    EXPECT_TRUE(seen.insert(use.agent() + use.stream() + std::to_string(use.sequence())).second);
  }
}

TEST(Commit, TakesBatchesOfOneStreamTogether) {
  StoreFixture fixture;
  const auto context = PlainContext();
  const auto row = [&](int i) { return Use(context, Token(1), kNow + i); };
  ASSERT_TRUE(fixture.store()
                  .Commit({Batch("a", 1, 1, {row(1), row(2)}), Batch("a", 1, 2, {row(2), row(3)}),
                           Batch("a", 1, 3, {row(3)})})
                  .ok());
  EXPECT_EQ(fixture.Uses().size(), 3);
}

TEST(Commit, NumbersGapsAfterUses) {
  StoreFixture fixture;
  GapRow gap;
  gap.kind = "ring_full";
  gap.count = 5;
  gap.since_us = gap.until_us = kNow;
  const auto batch = [&](uint64_t first, int uses, int gaps) {
    return Batch("a", 1, first, std::vector<UseRow>(uses, Use(PlainContext(), Token(1), kNow)),
                 std::vector<GapRow>(gaps, gap));
  };
  ASSERT_TRUE(fixture.store().Commit({batch(1, 2, 2)}).ok());
  // 3 and 4 were gaps; of these only 5 is new.
  ASSERT_TRUE(fixture.store().Commit({batch(3, 0, 3)}).ok());
  EXPECT_EQ(fixture.store().CommittedSequence("agt_a", IdBytes(1)).value(), 5);
  EXPECT_EQ(fixture.Agents()[0].gaps_size(), 3);
  EXPECT_EQ(fixture.Stats().gaps(), 15);
}

TEST(Commit, RefusesMalformedBatchesWhole) {
  StoreFixture fixture;
  const UseRow good = Use(PlainContext(), Token(1), kNow);
  IngestBatch no_agent = Batch("a", 1, 1, {good});
  no_agent.agent.clear();
  IngestBatch short_stream = Batch("a", 1, 1, {good});
  short_stream.stream = "short";
  UseRow bare = good;
  bare.context = nullptr;
  for (const IngestBatch& bad :
       {no_agent, short_stream, Batch("a", 1, 0, {good}), Batch("a", 1, uint64_t{1} << 63, {good}),
        Batch("a", 1, 1, {bare})}) {
    const absl::Status status = fixture.store().Commit({Batch("b", 1, 1, {good}), bad});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_TRUE(fixture.Uses().empty());
  }
}

TEST(Commit, ReadsACountOfZeroAsOne) {
  StoreFixture fixture;
  UseRow row = Use(PlainContext(), Token(1), kNow);
  row.count = 0;
  fixture.Add({row});
  row.count = 1000;
  fixture.Add({row});
  EXPECT_EQ(fixture.Uses()[1].count(), 1);
  EXPECT_EQ(fixture.Stats().uses(), 1001);
}

TEST(Commit, NamesTheOutcome) {
  const std::pair<uint32_t, const char*> cases[] = {
      {0, "unanswered"}, {101, "ok"},     {200, "ok"},     {304, "ok"},     {400, "failed"},
      {401, "denied"},   {403, "denied"}, {404, "failed"}, {407, "denied"}, {429, "throttled"},
      {500, "failed"},   {503, "failed"}, {599, "failed"}, {999, "failed"}};
  StoreFixture fixture;
  int64_t time = kNow;
  for (const auto& [status, outcome] : cases) {
    EXPECT_STREQ(OutcomeOf(status), outcome);
    fixture.Add({Use(PlainContext(), Token(1), ++time, status)});
    const v1::Use newest = fixture.Uses()[0];
    EXPECT_EQ(newest.status(), status);
    EXPECT_EQ(newest.outcome(), outcome);
  }
}

TEST(Commit, NamesTheOutcomeOfAGrpcCall) {
  StoreFixture fixture;
  int64_t time = kNow;
  for (uint32_t grpc = 0; grpc <= 16; ++grpc) {
    const char* const outcome = grpc == 0                 ? "ok"
                                : grpc == 7 || grpc == 16 ? "denied"
                                : grpc == 8               ? "throttled"
                                                          : "failed";
    UseRow row = Use(PlainContext(), Token(1), ++time, 200);
    row.grpc_status = grpc + 1;
    fixture.Add({row});
    const v1::Use newest = fixture.Uses()[0];
    EXPECT_EQ(newest.status(), 200);
    EXPECT_EQ(newest.outcome(), outcome) << grpc;
  }
  // Rollups and filters tell the same.
  EXPECT_EQ(fixture.Uses(Filtered("status", "200")).size(), 17);
  EXPECT_EQ(fixture.Uses(Filtered("status", "denied")).size(), 2);
  EXPECT_EQ(fixture.Uses(Filtered("status", "ok")).size(), 1);
  EXPECT_EQ(fixture.Tokens()[0].denied(), 2);
  EXPECT_EQ(fixture.Tokens()[0].failed(), 14);
  // An HTTP status that is no success says what stopped the call.
  UseRow row = Use(PlainContext(), Token(1), ++time, 401);
  row.grpc_status = 1;
  fixture.Add({row});
  EXPECT_EQ(fixture.Uses()[0].outcome(), "denied");
}

TEST(Commit, KeepsInboundUsesApart) {
  StoreFixture fixture;
  const auto inbound = Context([](UseContext& made) { made.direction = "inbound"; });
  fixture.Add({Use(PlainContext(), Token(1), kNow), Use(inbound, Token(1), kNow + 1),
               Use(inbound, Token(2), kNow + 2), Use(inbound, nullptr, kNow + 3)});
  const std::vector<v1::Use> uses = fixture.Uses();
  ASSERT_EQ(uses.size(), 4);
  EXPECT_EQ(uses[0].direction(), "inbound");
  EXPECT_EQ(uses[3].direction(), "outbound");
  for (const v1::ListRequest& request : {v1::ListRequest(), Filtered("since", "1h")}) {
    EXPECT_EQ(fixture.Stats(request).uses(), 1);
    EXPECT_EQ(fixture.Stats(request).unresolved(), 0);
    ASSERT_EQ(fixture.Tokens(request).size(), 1);
    EXPECT_EQ(fixture.Tokens(request)[0].uses(), 1);
  }
  EXPECT_EQ(fixture.Agents()[0].uses(), 1);
  // Filters find them all the same.
  EXPECT_EQ(fixture.Uses(Filtered("token", TokenText(2))).size(), 1);
  EXPECT_EQ(fixture.Uses(Filtered("direction", "inbound")).size(), 3);
  EXPECT_EQ(fixture.Uses(Filtered("direction", "outbound")).size(), 1);
  EXPECT_EQ(fixture.Stats(Filtered("direction", "inbound")).uses(), 3);
  EXPECT_EQ(fixture.Tokens(Filtered("direction", "outbound")).size(), 1);
  EXPECT_EQ(fixture.Tokens()[0].inbound_uses(), 1);
  ASSERT_EQ(fixture.Tokens()[0].programs_size(), 1);
  ASSERT_EQ(fixture.Tokens(Filtered("direction", "inbound")).size(), 2);
  EXPECT_EQ(fixture.Tokens(Filtered("direction", "inbound"))[0].uses(), 1);
  const v1::TokenDetail received = fixture.Detail(TokenText(2));
  EXPECT_EQ(received.token().uses(), 0);
  EXPECT_EQ(received.token().inbound_uses(), 1);
  ASSERT_EQ(received.usage_size(), 1);
  EXPECT_EQ(received.usage(0).direction(), "inbound");
  const v1::TokenDetail both = fixture.Detail(TokenText(1));
  EXPECT_EQ(both.token().uses(), 1);
  EXPECT_EQ(both.token().inbound_uses(), 1);
  EXPECT_EQ(both.usage_size(), 2);
}

}  // namespace
}  // namespace tokenwatch::testing
