// What a commit tells its observer, and that reading it back gives the same.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "collector/store/committed_use.h"
#include "collector/store/detection_store.h"
#include "tests/unit/collector/store/store_testing.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch::testing {
namespace {

class Recorder : public CommitObserver {
 public:
  void OnCommitted(std::vector<CommittedUse> uses, std::vector<TokenFactRow> facts) override {
    ++calls;
    for (CommittedUse& use : uses) all.push_back(std::move(use));
    for (TokenFactRow& fact : facts) told.push_back(std::move(fact));
  }

  int calls = 0;
  std::vector<CommittedUse> all;
  std::vector<TokenFactRow> told;
};

std::string CredentialOf(const CommittedUse& use) {
  return use.credential == nullptr ? "" : *use.credential;
}

void ExpectSame(const CommittedUse& a, const CommittedUse& b) {
  EXPECT_EQ(a.number, b.number);
  EXPECT_EQ(a.sequence, b.sequence);
  EXPECT_EQ(a.source->agent, b.source->agent);
  EXPECT_EQ(a.source->agent_address, b.source->agent_address);
  EXPECT_EQ(a.source->stream, b.source->stream);
  EXPECT_EQ(CredentialOf(a), CredentialOf(b));
  ASSERT_EQ(a.row.token == nullptr, b.row.token == nullptr);
  if (a.row.token != nullptr) {
    EXPECT_EQ(a.row.token->ids, b.row.token->ids);
  }
  EXPECT_EQ(a.row.time_us, b.row.time_us);
  EXPECT_EQ(a.row.status, b.row.status);
  EXPECT_EQ(a.row.grpc_status, b.row.grpc_status);
  EXPECT_EQ(a.row.latency_us, b.row.latency_us);
  EXPECT_EQ(a.row.local_port, b.row.local_port);
  EXPECT_EQ(a.row.count, b.row.count);
  EXPECT_EQ(a.row.request_id, b.row.request_id);
  const UseContext& x = *a.row.context;
  const UseContext& y = *b.row.context;
  EXPECT_EQ(x.user_id, y.user_id);
  EXPECT_EQ(x.workload.DebugString(), y.workload.DebugString());
  EXPECT_EQ(x.format, y.format);
  EXPECT_EQ(x.provider, y.provider);
  EXPECT_EQ(x.carrier, y.carrier);
  EXPECT_EQ(x.token_length, y.token_length);
  EXPECT_EQ(x.method, y.method);
  EXPECT_EQ(x.scheme, y.scheme);
  EXPECT_EQ(x.host, y.host);
  EXPECT_EQ(x.path, y.path);
  EXPECT_EQ(x.query, y.query);
  EXPECT_EQ(x.http_version, y.http_version);
  EXPECT_EQ(x.user_agent, y.user_agent);
  EXPECT_EQ(x.peer_address, y.peer_address);
  EXPECT_EQ(x.peer_certainty, y.peer_certainty);
  EXPECT_EQ(x.local_address, y.local_address);
  EXPECT_EQ(x.direction, y.direction);
  EXPECT_EQ(x.probe, y.probe);
  EXPECT_EQ(x.peer_port, y.peer_port);
  EXPECT_EQ(x.traits, y.traits);
}

std::vector<CommittedUse> ReadAll(DetectionStore& detection, uint64_t number, size_t limit) {
  std::vector<CommittedUse> all;
  for (int calls = 0; number < detection.LastUse(); ++calls) {
    EXPECT_LT(calls, 100000);
    if (calls == 100000) break;
    const uint64_t before = number;
    std::vector<CommittedUse> uses = detection.UsesSince(&number, limit).value();
    EXPECT_LE(uses.size(), limit);
    EXPECT_GT(number, before);
    for (CommittedUse& use : uses) all.push_back(std::move(use));
  }
  return all;
}

// Every field has a value of its own.
std::shared_ptr<const UseContext> FullContext(uint32_t pid) {
  return Context([pid](UseContext& context) {
    v1::Workload& workload = context.workload;
    workload.set_pid(pid);
    workload.mutable_start_time()->set_nanos(123456000);
    workload.set_login_user("alice");
    workload.set_container_id("c0ffee00c0ffee00c0ffee00");
    workload.set_pod("cart-0");
    workload.set_namespace_("shop");
    workload.set_service_account("cart");
    workload.set_container_name("main");
    workload.set_image("registry.example/cart:1");
    (*workload.mutable_labels())["app"] = "cart";
    (*workload.mutable_labels())["team"] = "shop";
    context.user_id = IdBytes(4242);
    context.format = "github_pat_classic";
    context.provider = "GitHub";
    context.query = "page&per_page";
    context.direction = pid % 2 == 0 ? "outbound" : "inbound";
    context.traits = v1::USE_TRAIT_CLEARTEXT | v1::USE_TRAIT_IN_QUERY;
  });
}

TEST(Observe, TellsWhatCanBeReadBack) {
  StoreFixture fixture;
  Recorder recorder;
  fixture.store().Observe(&recorder);
  const auto both = Token({{"key_00000001", 1}, {"key_00000002", 2}});
  UseRow full = Use(FullContext(2), both, kNow - kDay, 0);
  full.status = 200;
  full.grpc_status = 8;
  full.count = 7;
  full.latency_us = 987654321;
  full.request_id = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
  UseRow odd = Use(FullContext(3), both, kNow, 403);
  odd.request_id = "not packed: Ünïcode";
  odd.count = 0;
  UseRow wild = Use(PlainContext(), Token(3), kNow + 400 * kDay, 0);
  fixture.AddTelling(
      {full, odd, wild, Use(PlainContext(), nullptr, kNow - kHour)},
      {Fact(both, "credential", CredentialText(5), kNow), Fact(Token(3), "scope", "repo", kNow)});
  IngestBatch other = Batch("b", 9, 50, {Use(PlainContext(), Token(4), kNow)});
  other.agent_address = "192.0.2.77";
  IngestBatch one = Batch("a", 8, 1, {Use(PlainContext(), Token(5), kNow - kMinute)});
  ASSERT_TRUE(fixture.store().Commit({other, one}).ok());

  ASSERT_EQ(recorder.all.size(), 6u);
  EXPECT_EQ(recorder.calls, 2);
  for (size_t i = 0; i < recorder.all.size(); ++i) EXPECT_EQ(recorder.all[i].number, i + 1);
  EXPECT_EQ(CredentialOf(recorder.all[0]), CredentialText(5)) << "told by the same commit";
  std::map<uint64_t, int64_t> times;
  for (const CommittedUse& use : recorder.all) times[use.number] = use.row.time_us;
  EXPECT_EQ(std::count_if(times.begin(), times.end(),
                          [](const auto& entry) { return entry.second > kNow; }),
            0)
      << "an absurd time is replaced";
  ASSERT_EQ(recorder.told.size(), 2u);
  EXPECT_EQ(recorder.told[0].value, CredentialText(5));
  EXPECT_EQ(fixture.store().detection()->LastUse(), 6u);

  for (const size_t limit : {size_t{1}, size_t{2}, size_t{100}}) {
    const std::vector<CommittedUse> read = ReadAll(*fixture.store().detection(), 0, limit);
    ASSERT_EQ(read.size(), recorder.all.size());
    for (size_t i = 0; i < read.size(); ++i) {
      SCOPED_TRACE(i);
      ExpectSame(recorder.all[i], read[i]);
    }
  }
  fixture.Reopen();
  const std::vector<CommittedUse> read = ReadAll(*fixture.store().detection(), 4, 100);
  ASSERT_EQ(read.size(), 2u);
  ExpectSame(recorder.all[5], read[1]);
}

TEST(Observe, TellsNoRetryAndNothingThatFailed) {
  StoreFixture fixture;
  Recorder recorder;
  fixture.store().Observe(&recorder);
  const auto context = PlainContext();
  const std::vector<UseRow> uses = {Use(context, Token(1), kNow), Use(context, Token(2), kNow)};
  ASSERT_TRUE(fixture.store().Commit({Batch("a", 1, 1, uses)}).ok());
  ASSERT_TRUE(fixture.store().Commit({Batch("a", 1, 1, uses)}).ok());
  ASSERT_EQ(recorder.all.size(), 2u);
  // The second use of a batch that is half a retry.
  ASSERT_TRUE(fixture.store().Commit({Batch("a", 1, 2, uses)}).ok());
  ASSERT_EQ(recorder.all.size(), 3u);
  EXPECT_EQ(recorder.all[2].sequence, 3u);
  IngestBatch broken = Batch("a", 1, 4, uses);
  broken.stream = "short";
  EXPECT_FALSE(fixture.store().Commit({Batch("a", 1, 4, uses), broken}).ok());
  EXPECT_EQ(recorder.all.size(), 3u);
  EXPECT_EQ(recorder.calls, 2) << "a commit without news is none";
  fixture.store().Observe(nullptr);
  ASSERT_TRUE(fixture.store().Commit({Batch("a", 1, 4, uses)}).ok());
  EXPECT_EQ(recorder.all.size(), 3u);
}

TEST(Observe, LeavesOutUsesOfDroppedDays) {
  StoreFixture fixture(/*retention_days=*/2);
  fixture.Add({Use(PlainContext(), Token(1), kNow)});
  fixture.SetNow(kNow + 5 * kDay);
  fixture.Add({Use(PlainContext(), Token(1), kNow + 5 * kDay)});
  Recorder recorder;
  fixture.store().Observe(&recorder);
  fixture.Add(
      {Use(PlainContext(), Token(1), kNow), Use(PlainContext(), Token(1), kNow + 5 * kDay)});
  ASSERT_EQ(recorder.all.size(), 1u);
  EXPECT_EQ(recorder.all[0].number, 3u);
  EXPECT_EQ(recorder.all[0].row.time_us, kNow + 5 * kDay);
  const std::vector<CommittedUse> read = ReadAll(*fixture.store().detection(), 0, 10);
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].number, 2u);
}

TEST(Observe, FollowsWhatATokenStandsFor) {
  StoreFixture fixture;
  Recorder recorder;
  fixture.store().Observe(&recorder);
  const auto context = PlainContext();
  const auto use = [&](std::shared_ptr<const UseToken> token) {
    return Use(context, std::move(token), kNow);
  };
  const auto last = [&] { return CredentialOf(recorder.all.back()); };
  const auto one = Token(1);
  fixture.Add({use(one)});
  EXPECT_EQ(last(), "");
  // Known as none before, then told, without and with a use.
  fixture.AddTelling({}, {Fact(one, "credential", CredentialText(11), kNow)});
  fixture.Add({use(one)});
  EXPECT_EQ(last(), CredentialText(11));
  const auto two = Token(2);
  fixture.AddTelling({use(two)}, {Fact(two, "credential", CredentialText(11), kNow)});
  EXPECT_EQ(last(), CredentialText(11));
  // Under a second key the credential has a second id; what is shown is the one told last.
  const auto rotated = Token({{"key_00000001", 1}, {"key_00000002", 101}});
  fixture.AddTelling({use(rotated)},
                     {Fact(rotated, "credential", CredentialText(11), kNow + kMinute),
                      Fact(rotated, "credential", CredentialText(12), kNow + 2 * kMinute)});
  EXPECT_EQ(last(), CredentialText(12));
  fixture.Add({use(two)});
  EXPECT_EQ(last(), CredentialText(12)) << "all tokens of it alike";
  // A token that had none is joined with one that has.
  const auto lone = Token({{"key_00000002", 301}});
  fixture.Add({use(lone)});
  EXPECT_EQ(last(), "");
  fixture.Add({use(Token({{"key_00000002", 301}, {"key_00000001", 2}}))});
  EXPECT_EQ(last(), CredentialText(12));
  fixture.Add({use(lone)});
  EXPECT_EQ(last(), CredentialText(12));
  // And each time reading it back says the same.
  const std::vector<CommittedUse> read = ReadAll(*fixture.store().detection(), 0, 100);
  EXPECT_EQ(CredentialOf(read.back()), CredentialText(12));
}

TEST(Observe, GivesSharedPartsTheSameIdsAgain) {
  StoreFixture fixture;
  const auto context = PlainContext();
  for (int i = 0; i < 10; ++i) fixture.Add({Use(context, Token(1 + i % 2), kNow + i)});
  const std::vector<CommittedUse> once = ReadAll(*fixture.store().detection(), 0, 3);
  const std::vector<CommittedUse> again = ReadAll(*fixture.store().detection(), 0, 100);
  std::set<uint64_t> ids;
  for (size_t i = 0; i < once.size(); ++i) {
    EXPECT_EQ(once[i].row.context, again[i].row.context);
    EXPECT_EQ(once[i].row.token, again[i].row.token);
    EXPECT_GT(once[i].row.context->id, uint64_t{1} << 63) << "none that ingest gives";
    ids.insert(once[i].row.context->id);
    ids.insert(once[i].row.token->id);
  }
  EXPECT_EQ(ids.size(), 3u);
  // A joined id makes it another token.
  fixture.Add({Use(context, Token({{"key_00000001", 1}, {"key_00000002", 9}}), kNow)});
  const std::vector<CommittedUse> joined = ReadAll(*fixture.store().detection(), 0, 100);
  EXPECT_EQ(joined[0].row.token->ids.size(), 2u);
  EXPECT_EQ(joined[0].row.token->ids[0].second, IdBytes(1)) << "the id that it came with is first";
  EXPECT_NE(joined[0].row.token->id, once[0].row.token->id);
  EXPECT_EQ(joined[1].row.token, once[1].row.token);
}

}  // namespace
}  // namespace tokenwatch::testing
