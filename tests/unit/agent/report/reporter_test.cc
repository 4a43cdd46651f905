#include "agent/report/reporter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "agent/common/facts.h"
#include "agent/report/fake_file_system.h"
#include "collector/store/fake_store.h"
#include "tests/unit/agent/report/sample_uses.h"
#include "tests/unit/agent/report/wait_for.h"
#include "tests/unit/collector/ingest/test_collector.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch {
namespace {

constexpr char kNobody[] = "127.0.0.1:1";

ReporterOptions TestOptions(const std::string& collector) {
  ReporterOptions options;
  options.collector = collector;
  options.spool_directory = "/spool";
  options.host = "machine";
  options.version = "0.1.0";
  options.kernel = "6.1.0";
  options.key_ids = {"key_862n1q9x"};
  options.capture = "fentry";
  options.queue.interval = absl::Milliseconds(5);
  options.backoff = {absl::Milliseconds(5), absl::Milliseconds(40)};
  options.spool_retry = absl::Milliseconds(5);
  return options;
}

class ReporterTest : public testing::Test {
 protected:
  std::unique_ptr<Reporter> Start(const ReporterOptions& options) {
    auto reporter = Reporter::Create(options, &files_, &clock_);
    EXPECT_TRUE(reporter.ok()) << reporter.status();
    return reporter.ok() ? *std::move(reporter) : nullptr;
  }

  void AddUses(Reporter* reporter, uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) reporter->Add(SampleUse(next_use_++), workload_);
  }

  std::multiset<std::string> StoredRequests() const {
    std::multiset<std::string> requests;
    for (const auto& [key, row] : store_.uses()) requests.insert(row.request_id);
    return requests;
  }

  // Each use that was added, once.
  void ExpectAllStoredOnce() const {
    const std::multiset<std::string> stored = StoredRequests();
    EXPECT_EQ(stored.size(), next_use_);
    for (uint64_t i = 0; i < next_use_; ++i) {
      EXPECT_EQ(stored.count(absl::StrCat("request-", i)), 1u) << i;
    }
  }

  std::optional<GapRow> StoredGap(const std::string& kind) const {
    for (const auto& [key, gap] : store_.gaps()) {
      if (gap.kind == kind) return gap;
    }
    return std::nullopt;
  }

  uint64_t Counter(const Reporter& reporter, const std::string& name) const {
    Counters counters;
    reporter.AddCounters(&counters);
    return counters[name];
  }

  FakeFileSystem files_;
  FakeStore store_;
  RealClock clock_;
  const std::shared_ptr<const Workload> workload_ = SampleWorkload();
  uint64_t next_use_ = 0;
};

TEST_F(ReporterTest, DeliversUsesWithAllTheirFields) {
  TestCollector collector(&store_);
  const auto reporter = Start(TestOptions(collector.address()));
  AddUses(reporter.get(), 3);
  ASSERT_TRUE(WaitFor([&] { return store_.uses().size() == 3; }));
  const auto uses = store_.uses();
  const auto& [key, row] = *uses.begin();
  EXPECT_EQ(std::get<0>(key), reporter->State().agent_id);
  EXPECT_EQ(std::get<2>(key), 1u);
  const TokenUse use = SampleUse(0);
  EXPECT_EQ(row.time_us, absl::ToUnixMicros(use.time));
  EXPECT_EQ(row.status, 403u);
  EXPECT_EQ(row.latency_us, use.latency_us);
  EXPECT_EQ(row.local_port, use.peer.local_port);
  EXPECT_EQ(row.count, 1u);
  EXPECT_EQ(row.request_id, use.request_id);
  ASSERT_NE(row.token, nullptr);
  ASSERT_EQ(row.token->ids.size(), 1u);
  EXPECT_EQ(row.token->ids[0].first, "key_862n1q9x");
  const TokenIdBytes id = SampleTokenId(0);
  EXPECT_EQ(row.token->ids[0].second, std::string(id.begin(), id.end()));
  const UseContext& context = *row.context;
  EXPECT_EQ(context.format, "opaque");
  EXPECT_EQ(context.carrier, "authorization/bearer");
  EXPECT_EQ(context.token_length, 40u);
  EXPECT_EQ(context.method, "GET");
  EXPECT_EQ(context.scheme, "https");
  EXPECT_EQ(context.host, "api.example.com");
  EXPECT_EQ(context.path, "/v1/things/0");
  EXPECT_EQ(context.http_version, "1.1");
  EXPECT_EQ(context.user_agent, "curl/8.0");
  EXPECT_EQ(context.peer_address, "192.0.2.7");
  EXPECT_EQ(context.peer_port, 443u);
  EXPECT_EQ(context.peer_certainty, "exact");
  EXPECT_EQ(context.local_address, "192.0.2.8");
  EXPECT_EQ(context.direction, "outbound");
  EXPECT_EQ(context.probe, "openssl");
  EXPECT_EQ(context.workload.host(), "machine");
  EXPECT_EQ(context.workload.pid(), 4711u);
  EXPECT_EQ(context.workload.start_time().seconds(), 1'699'999'000);
  EXPECT_EQ(context.workload.start_time().nanos(), 123'456'000);
  EXPECT_EQ(context.workload.comm(), "curl");
  EXPECT_EQ(context.workload.exe(), "/usr/bin/curl");
  EXPECT_EQ(context.workload.parent_exe(), "/usr/bin/bash");
  EXPECT_EQ(context.workload.uid(), 1000u);
  EXPECT_EQ(context.workload.user(), "alice");
  EXPECT_EQ(context.workload.login_user(), "alice");
  EXPECT_EQ(context.workload.cgroup(), "/user.slice");
  EXPECT_EQ(context.workload.unit(), "cron.service");
}

TEST_F(ReporterTest, TellsTheCollectorAboutTheAgent) {
  TestCollector collector(&store_);
  ReporterOptions options = TestOptions(collector.address());
  options.heartbeat_interval = absl::Milliseconds(5);
  std::atomic<uint64_t> beats = 0;
  options.counters = [&] { return Counters{{"beats", ++beats}}; };
  const auto reporter = Start(options);
  const std::string id = reporter->State().agent_id;
  ASSERT_TRUE(WaitFor([&] {
    const auto agents = store_.agents();
    const auto found = agents.find(id);
    return found != agents.end() && found->second.counters.contains("beats") &&
           found->second.counters.at("beats") >= 2;
  }));
  const AgentInfo info = store_.agents()[id];
  EXPECT_EQ(info.host, "machine");
  EXPECT_EQ(info.version, "0.1.0");
  EXPECT_EQ(info.kernel, "6.1.0");
  EXPECT_EQ(info.capture, "fentry");
  EXPECT_EQ(info.address, "127.0.0.1");
  EXPECT_EQ(info.key_ids, std::vector<std::string>{"key_862n1q9x"});
  EXPECT_TRUE(collector.ingest().IsConnected(id));
  EXPECT_TRUE(reporter->State().connected);
  EXPECT_EQ(reporter->State().last_error, "");
}

TEST_F(ReporterTest, SpoolsWhileTheCollectorIsAwayAndDeliversWhenItIsBack) {
  auto collector = std::make_unique<TestCollector>(&store_);
  const int port = collector->port();
  const auto reporter = Start(TestOptions(collector->address()));
  AddUses(reporter.get(), 10);
  ASSERT_TRUE(WaitFor([&] { return store_.uses().size() == 10; }));
  collector.reset();
  ASSERT_TRUE(WaitFor([&] { return !reporter->State().connected; }));
  AddUses(reporter.get(), 10);
  ASSERT_TRUE(WaitFor([&] { return reporter->State().unacknowledged_uses == 10; }));
  EXPECT_NE(reporter->State().last_error, "");
  EXPECT_GT(reporter->State().spool_bytes, 0u);
  collector = std::make_unique<TestCollector>(&store_, port);
  ASSERT_TRUE(WaitFor([&] { return reporter->State().unacknowledged_uses == 0; }));
  EXPECT_TRUE(reporter->State().connected);
  ExpectAllStoredOnce();
}

TEST_F(ReporterTest, ANewProcessDeliversWhatTheOldOneSpooled) {
  std::string id;
  {
    const auto reporter = Start(TestOptions(kNobody));
    id = reporter->State().agent_id;
    AddUses(reporter.get(), 100);
    ASSERT_TRUE(WaitFor([&] { return reporter->State().unacknowledged_uses == 100; }));
    std::mt19937_64 random(1);
    files_.CrashAfter(0, &random);
  }
  files_.Restart();
  TestCollector collector(&store_);
  const auto reporter = Start(TestOptions(collector.address()));
  EXPECT_EQ(reporter->State().agent_id, id);
  AddUses(reporter.get(), 100);
  ASSERT_TRUE(WaitFor([&] { return store_.uses().size() == 200; }));
  ExpectAllStoredOnce();
  std::set<std::string> streams;
  for (const auto& [key, row] : store_.uses()) streams.insert(std::get<1>(key));
  EXPECT_EQ(streams.size(), 2u);
}

TEST_F(ReporterTest, FactsSurviveACrashAndACollectorThatCannotStore) {
  const auto tell = [this](Reporter* reporter, uint64_t uses) {
    for (uint64_t i = 0; i < uses; ++i) {
      TokenUse use = SampleUse(next_use_);
      use.traits = v1::USE_TRAIT_IN_QUERY;
      use.facts = {{fact::kOwner, absl::StrCat("owner-", next_use_)}, {fact::kScope, "repo"}};
      ++next_use_;
      reporter->Add(std::move(use), workload_);
    }
  };
  {
    const auto reporter = Start(TestOptions(kNobody));
    tell(reporter.get(), 50);
    ASSERT_TRUE(WaitFor([&] { return reporter->State().unacknowledged_uses == 50; }));
    std::mt19937_64 random(1);
    files_.CrashAfter(0, &random);
  }
  files_.Restart();
  std::atomic<int> failures = 0;
  store_.SetCommitHook([&failures](absl::Span<const IngestBatch>) {
    return ++failures <= 3 ? absl::ResourceExhaustedError("no space left") : absl::OkStatus();
  });
  TestCollector collector(&store_);
  const auto reporter = Start(TestOptions(collector.address()));
  tell(reporter.get(), 50);
  ASSERT_TRUE(WaitFor([&] { return store_.uses().size() == 100; }));
  ExpectAllStoredOnce();
  EXPECT_GT(failures, 3);
  std::set<std::string> owners, scoped;
  for (const TokenFactRow& row : store_.token_facts()) {
    (row.name == fact::kOwner ? owners : scoped)
        .insert(row.name == fact::kOwner ? row.value : row.token->ids[0].second);
  }
  EXPECT_EQ(owners.size(), 100u);
  EXPECT_EQ(scoped.size(), 100u) << "of each token";
  for (const auto& [key, row] : store_.uses()) {
    EXPECT_EQ(row.context->traits, uint32_t{v1::USE_TRAIT_IN_QUERY});
  }
}

TEST_F(ReporterTest, ACopiedSpoolDoublesNothing) {
  {
    TestCollector collector(&store_);
    const auto reporter = Start(TestOptions(collector.address()));
    AddUses(reporter.get(), 50);
    ASSERT_TRUE(WaitFor([&] { return store_.uses().size() == 50; }));
    std::mt19937_64 random(1);
    files_.CrashAfter(0, &random);
  }
  // The old process is gone, its acknowledged file is still there: a restored backup looks so too.
  files_.Restart();
  TestCollector collector(&store_);
  const auto reporter = Start(TestOptions(collector.address()));
  ASSERT_TRUE(WaitFor([&] { return store_.retries() == 50; }));
  AddUses(reporter.get(), 1);
  ASSERT_TRUE(WaitFor([&] { return store_.uses().size() == 51; }));
  ExpectAllStoredOnce();
}

TEST_F(ReporterTest, RecordsWhenNobodyWatched) {
  const struct {
    const char* kind;
    bool killed;
  } cases[] = {{"agent_down", true}, {"agent_stopped", false}};
  for (const auto& test : cases) {
    SCOPED_TRACE(test.kind);
    FakeFileSystem files;
    FakeStore store;
    TestCollector collector(&store);
    const absl::Time before = clock_.Now();
    {
      auto reporter = Reporter::Create(TestOptions(collector.address()), &files, &clock_);
      ASSERT_TRUE(reporter.ok()) << reporter.status();
      (*reporter)->MarkAttached(clock_.Now());
      (*reporter)->Add(SampleUse(1), workload_);
      ASSERT_TRUE(WaitFor([&] { return store.uses().size() == 1; }));
      std::mt19937_64 random(1);
      if (test.killed) files.CrashAfter(0, &random);
    }
    files.Restart();
    EXPECT_TRUE(store.gaps().empty());
    auto reporter = Reporter::Create(TestOptions(collector.address()), &files, &clock_);
    ASSERT_TRUE(reporter.ok()) << reporter.status();
    const absl::Time attached = clock_.Now();
    (*reporter)->MarkAttached(attached);
    (*reporter)->MarkAttached(attached + absl::Hours(1));  // only the first counts
    ASSERT_TRUE(WaitFor([&] { return !store.gaps().empty(); }));
    const auto gaps = store.gaps();
    ASSERT_EQ(gaps.size(), 1u);
    const GapRow& gap = gaps.begin()->second;
    EXPECT_EQ(gap.kind, test.kind);
    EXPECT_GE(gap.since_us, absl::ToUnixMicros(before));
    EXPECT_LE(gap.since_us, gap.until_us);
    EXPECT_EQ(gap.until_us, absl::ToUnixMicros(attached));
  }
}

// What the spool's last moment does not cover is in the gap, however late the agent was killed and
// whatever was spooled behind it.
TEST_F(ReporterTest, TheGapOfAKillBeginsWhereCoverageEnded) {
  const absl::Time start = absl::FromUnixSeconds(1'790'000'000);
  const struct {
    const char* name;
    Coverage coverage;
    bool mark_fails;
    absl::Time since;
    uint64_t open;
  } cases[] = {
      {"segments that had not been read",
       {.until = start + absl::Seconds(5)},
       false,
       start + absl::Seconds(5),
       0},
      {"requests without an answer",
       {.until = start + absl::Seconds(5), .open = 3, .open_since = start + absl::Seconds(2)},
       false,
       start + absl::Seconds(5),
       3},
      {"the same, and no mark but the first",
       {.until = start + absl::Seconds(5), .open = 3, .open_since = start + absl::Seconds(2)},
       true,
       start + absl::Seconds(2),
       0},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.name);
    FakeFileSystem files;
    FakeStore store;
    FakeClock clock(start);
    std::mt19937_64 random(1);
    ReporterOptions options = TestOptions(kNobody);
    options.queue.interval = absl::ZeroDuration();
    {
      auto reporter = Reporter::Create(options, &files, &clock);
      ASSERT_TRUE(reporter.ok()) << reporter.status();
      (*reporter)->MarkAttached(start);
      (*reporter)->Add(SampleUse(1), workload_);
      ASSERT_TRUE(WaitFor([&] { return Counter(**reporter, "spool_marks") == 1; }));
      files.SetHook([&](FileOperation operation, const std::string& path) {
        const bool is_mark = operation == FileOperation::kWrite && path.ends_with("/alive");
        return is_mark && test.mark_fails ? absl::UnavailableError("no mark") : absl::OkStatus();
      });
      clock.Advance(absl::Seconds(8));
      (*reporter)->SetCoverage(test.coverage);
      (*reporter)->Add(SampleUse(2), workload_);
      const char* const tried = test.mark_fails ? "spool_mark_errors" : "spool_marks";
      ASSERT_TRUE(
          WaitFor([&] { return Counter(**reporter, tried) == (test.mark_fails ? 1u : 2u); }));
      files.CrashAfter(0, &random);
    }
    files.Restart();
    files.SetHook(nullptr);
    TestCollector collector(&store);
    options.collector = collector.address();
    auto reporter = Reporter::Create(options, &files, &clock);
    ASSERT_TRUE(reporter.ok()) << reporter.status();
    (*reporter)->MarkAttached(start + absl::Seconds(9));
    ASSERT_TRUE(WaitFor([&] { return store.gaps().size() == (test.open == 0 ? 1u : 2u); }));
    for (const auto& [key, gap] : store.gaps()) {
      const bool down = gap.kind == "agent_down";
      EXPECT_EQ(gap.kind, down ? "agent_down" : "open_requests_lost");
      EXPECT_EQ(gap.count, down ? 1 : test.open);
      EXPECT_EQ(gap.since_us, absl::ToUnixMicros(down ? test.since : test.coverage.open_since));
      EXPECT_EQ(gap.until_us, absl::ToUnixMicros(down ? start + absl::Seconds(9) : test.since));
    }
  }
}

TEST_F(ReporterTest, AnAgentThatNeverAttachedDoesNotShortenTheGap) {
  TestCollector collector(&store_);
  std::mt19937_64 random(1);
  absl::Time killed;
  for (int life = 0; life < 3; ++life) {
    {
      const auto reporter = Start(TestOptions(collector.address()));
      if (life == 0) {
        reporter->MarkAttached(clock_.Now());
        AddUses(reporter.get(), 1);
      } else {
        reporter->AddGap({.kind = "library_unseen", .since = clock_.Now(), .until = clock_.Now()});
      }
      ASSERT_TRUE(WaitFor([&] {
        return store_.uses().size() == 1 && store_.gaps().size() == static_cast<size_t>(life);
      }));
      files_.CrashAfter(0, &random);
      if (life == 0) killed = clock_.Now();
    }
    files_.Restart();
  }
  const auto reporter = Start(TestOptions(collector.address()));
  reporter->MarkAttached(clock_.Now());
  ASSERT_TRUE(WaitFor([&] { return StoredGap("agent_down").has_value(); }));
  EXPECT_LE(StoredGap("agent_down")->since_us, absl::ToUnixMicros(killed));
}

TEST_F(ReporterTest, AFullDiskKeepsUsesInMemoryAndThenCountsThem) {
  TestCollector collector(&store_);
  ReporterOptions options = TestOptions(collector.address());
  options.queue.max_bytes = 20'000;
  const auto reporter = Start(options);
  AddUses(reporter.get(), 5);
  ASSERT_TRUE(WaitFor([&] { return store_.uses().size() == 5; }));
  files_.SetCapacity(files_.TotalBytes());
  AddUses(reporter.get(), 5);
  ASSERT_TRUE(WaitFor([&] { return !reporter->State().spool_error.empty(); }));
  AddUses(reporter.get(), 200);
  const uint64_t dropped = Counter(*reporter, "spool_full_dropped");
  EXPECT_GT(dropped, 0u);
  EXPECT_LT(dropped, 200u);
  EXPECT_EQ(store_.uses().size(), 5u);
  files_.SetCapacity(uint64_t{1} << 30);
  ASSERT_TRUE(WaitFor([&] { return store_.uses().size() == 210 - dropped; }));
  ASSERT_TRUE(WaitFor([&] { return StoredGap("spool_full_dropped").has_value(); }));
  const GapRow gap = *StoredGap("spool_full_dropped");
  EXPECT_EQ(gap.count, dropped);
  EXPECT_EQ(gap.since_us, absl::ToUnixMicros(SampleUse(210 - dropped).time));
  EXPECT_EQ(gap.until_us, absl::ToUnixMicros(SampleUse(209).time));
  EXPECT_EQ(reporter->State().spool_error, "");
  AddUses(reporter.get(), 1);
  ASSERT_TRUE(WaitFor([&] { return store_.uses().size() == 211 - dropped; }));
  EXPECT_EQ(StoredRequests().count("request-210"), 1u);
}

TEST_F(ReporterTest, ASlowDiskDoesNotHoldUpTheDrainingThread) {
  TestCollector collector(&store_);
  ReporterOptions options = TestOptions(collector.address());
  options.queue.max_bytes = 20'000;
  const auto reporter = Start(options);
  absl::Notification syncing;
  absl::Notification go_on;
  std::atomic<bool> first = true;
  files_.SetHook([&](FileOperation operation, const std::string&) {
    if (operation == FileOperation::kSync && first.exchange(false)) {
      syncing.Notify();
      go_on.WaitForNotification();
    }
    return absl::OkStatus();
  });
  AddUses(reporter.get(), 1);
  syncing.WaitForNotification();
  AddUses(reporter.get(), 200);  // would hang here
  const uint64_t dropped = Counter(*reporter, "report_queue_dropped");
  EXPECT_GT(dropped, 0u);
  EXPECT_EQ(store_.uses().size(), 0u);
  go_on.Notify();
  ASSERT_TRUE(WaitFor([&] { return store_.uses().size() == 201 - dropped; }));
  ASSERT_TRUE(WaitFor([&] { return StoredGap("report_queue_dropped").has_value(); }));
  EXPECT_EQ(StoredGap("report_queue_dropped")->count, dropped);
}

TEST_F(ReporterTest, TheBoundDropsTheOldestAndCountsThem) {
  ReporterOptions options = TestOptions(kNobody);
  options.spool_max_bytes = 60'000;
  options.segment_bytes = 4096;
  uint64_t dropped = 0;
  {
    const auto reporter = Start(options);
    reporter->AddGap(
        {.kind = "ring_full", .count = 7, .since = clock_.Now(), .until = clock_.Now()});
    while (Counter(*reporter, "spool_overflow_dropped") == 0) {
      AddUses(reporter.get(), 20);
      ASSERT_TRUE(WaitFor([&] { return reporter->State().waiting_uses == 0; }));
    }
    reporter->Stop();
    dropped = Counter(*reporter, "spool_overflow_dropped");
    EXPECT_LE(reporter->State().spool_bytes, options.spool_max_bytes);
    EXPECT_EQ(reporter->State().unacknowledged_uses, next_use_ - dropped);
  }
  TestCollector collector(&store_);
  options.collector = collector.address();
  const auto reporter = Start(options);
  ASSERT_TRUE(WaitFor([&] { return store_.uses().size() == next_use_ - dropped; }));
  ASSERT_TRUE(WaitFor([&] { return reporter->State().unacknowledged_uses == 0; }));
  uint64_t counted = 0;
  uint64_t ring_full = 0;
  for (const auto& [key, gap] : store_.gaps()) {
    if (gap.kind == "spool_overflow_dropped") counted += gap.count;
    if (gap.kind == "ring_full") ring_full += gap.count;
  }
  EXPECT_EQ(counted, dropped);
  EXPECT_EQ(ring_full, 7u);  // outlived the file that it was in
}

TEST_F(ReporterTest, CountsDamageOnDiskOnceAndDeliversTheRest) {
  {
    const auto reporter = Start(TestOptions(kNobody));
    for (int i = 1; i <= 3; ++i) {
      AddUses(reporter.get(), 10);
      ASSERT_TRUE(WaitFor(
          [&] { return reporter->State().unacknowledged_uses == static_cast<uint64_t>(i) * 10; }));
    }
  }
  const std::string path = "/spool/spool-0000000000000001.seg";
  const size_t middle = files_.Content(path).size() / 2;
  files_.Corrupt(path, middle);
  ReporterOptions options = TestOptions(kNobody);
  std::mt19937_64 random(1);
  {
    const auto reporter = Start(options);  // a start without a collector counts nothing yet
    files_.CrashAfter(0, &random);
  }
  files_.Restart();
  TestCollector collector(&store_);
  options.collector = collector.address();
  const auto reporter = Start(options);
  ASSERT_TRUE(WaitFor([&] { return StoredGap("spool_corrupt_dropped").has_value(); }));
  ASSERT_TRUE(WaitFor([&] { return reporter->State().unacknowledged_uses == 0; }));
  EXPECT_EQ(store_.uses().size() + StoredGap("spool_corrupt_dropped")->count, 30u);
  EXPECT_GE(store_.uses().size(), 10u);
}

TEST_F(ReporterTest, ARefusedRecordIsGivenUpAndTheRestArrives) {
  TestCollector collector(&store_);
  const auto reporter = Start(TestOptions(collector.address()));
  AddUses(reporter.get(), 10);
  ASSERT_TRUE(WaitFor([&] { return store_.uses().size() == 10; }));
  // No agent's decoder would send this status; the collector refuses it as out of range.
  TokenUse impossible = SampleUse(1000);
  impossible.status = 1'000'000;
  reporter->Add(impossible, workload_);
  ASSERT_TRUE(WaitFor([&] { return reporter->State().waiting_uses == 0; }));
  AddUses(reporter.get(), 100);
  ASSERT_TRUE(WaitFor([&] { return StoredGap("report_refused_dropped").has_value(); }));
  ASSERT_TRUE(WaitFor([&] { return reporter->State().unacknowledged_uses == 0; }));
  const uint64_t refused = StoredGap("report_refused_dropped")->count;
  EXPECT_EQ(store_.uses().size(), 111 - refused);
  EXPECT_GE(refused, 1u);
}

TEST_F(ReporterTest, ASecondAgentWithTheSameIdIsRefusedUntilTheFirstIsGone) {
  TestCollector collector(&store_);
  auto first = Start(TestOptions(collector.address()));
  ASSERT_TRUE(WaitFor([&] { return first->State().connected; }));
  // A cloned machine: the same files, another process.
  FakeFileSystem clone;
  const std::string id = files_.Content("/spool/agent-id");
  ASSERT_TRUE(clone.MakePrivateDirectory("/spool", "agent-id").ok());
  ASSERT_TRUE((*clone.Open("/spool/agent-id", OpenMode::kCreate))->WriteAt(0, id).ok());
  auto second = Reporter::Create(TestOptions(collector.address()), &clone, &clock_);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ((*second)->State().agent_id, first->State().agent_id);
  AddUses(second->get(), 10);
  ASSERT_TRUE(WaitFor([&] {
    return (*second)->State().last_error.find("another agent with the id") != std::string::npos;
  }));
  ASSERT_TRUE(WaitFor([&] { return (*second)->State().unacknowledged_uses == 10; }));
  EXPECT_TRUE(first->State().connected);
  EXPECT_EQ(store_.uses().size(), 0u);
  first.reset();
  ASSERT_TRUE(WaitFor([&] { return store_.uses().size() == 10; }));
  EXPECT_TRUE((*second)->State().connected);
}

TEST_F(ReporterTest, AFailingStoreLosesAndDoublesNothing) {
  TestCollector collector(&store_);
  std::atomic<int> failures = 5;
  store_.SetCommitHook([&](absl::Span<const IngestBatch>) {
    return failures-- > 0 ? absl::InternalError("disk is full") : absl::OkStatus();
  });
  const auto reporter = Start(TestOptions(collector.address()));
  for (int i = 0; i < 20; ++i) {
    AddUses(reporter.get(), 10);
    ASSERT_TRUE(WaitFor([&] { return reporter->State().waiting_uses == 0; }));
  }
  ASSERT_TRUE(WaitFor([&] { return reporter->State().unacknowledged_uses == 0; }));
  ExpectAllStoredOnce();
  EXPECT_LT(failures, 0);
}

TEST_F(ReporterTest, ShutsDownAtOnceWhileItWaitsForItsNextAttempt) {
  ReporterOptions options = TestOptions(kNobody);
  options.backoff = {absl::Hours(1), absl::Hours(1)};
  const auto reporter = Start(options);
  AddUses(reporter.get(), 3);
  ASSERT_TRUE(WaitFor(
      [&] { return reporter->State().last_error.find("cannot reach") != std::string::npos; }));
  const absl::Time begin = absl::Now();
  reporter->Stop(absl::Hours(1));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
}

TEST_F(ReporterTest, StopDeliversWhatIsLeft) {
  TestCollector collector(&store_);
  ReporterOptions options = TestOptions(collector.address());
  options.queue.interval = absl::Hours(1);
  const auto reporter = Start(options);
  ASSERT_TRUE(WaitFor([&] { return reporter->State().connected; }));
  AddUses(reporter.get(), 1000);
  reporter->Stop(absl::Minutes(1));
  ExpectAllStoredOnce();
  EXPECT_EQ(reporter->State().spool_files, 0u);
  EXPECT_TRUE(WaitFor([&] { return !collector.ingest().IsConnected(reporter->State().agent_id); }));
}

TEST_F(ReporterTest, RefusesASpoolThatAnotherAgentUses) {
  const auto first = Start(TestOptions(kNobody));
  const auto second = Reporter::Create(TestOptions(kNobody), &files_, &clock_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_NE(second.status().message().find("--spool-dir"), std::string::npos);
}

TEST_F(ReporterTest, RandomKillsOfAgentAndCollectorLoseNothingSpooled) {
  std::mt19937_64 random(20);
  auto collector = std::make_unique<TestCollector>(&store_);
  const int port = collector->port();
  std::set<uint64_t> spooled;
  for (int round = 0; round < 60; ++round) {
    SCOPED_TRACE(round);
    {
      auto reporter =
          Reporter::Create(TestOptions(absl::StrCat("127.0.0.1:", port)), &files_, &clock_);
      ASSERT_TRUE(reporter.ok()) << reporter.status();
      const uint64_t first = next_use_;
      files_.CrashAfter(random() % 12, &random);
      for (int i = 0; i < 5; ++i) {
        AddUses(reporter->get(), 1 + random() % 30);
        if (random() % 4 == 0) {
          collector->Kill();
          collector.reset();
          collector = std::make_unique<TestCollector>(&store_, port);
        }
        WaitFor([&] { return (*reporter)->State().waiting_uses == 0 || files_.crashed(); });
      }
      const uint64_t durable = Counter(**reporter, "report_uses_spooled");
      for (uint64_t i = 0; i < durable; ++i) spooled.insert(first + i);
    }
    if (random() % 2 == 0) {
      files_.Restart();
    } else {
      files_.RestartAfterPowerLoss(&random);
    }
  }
  const auto last = Start(TestOptions(absl::StrCat("127.0.0.1:", port)));
  ASSERT_TRUE(
      WaitFor([&] { return last->State().connected && last->State().unacknowledged_uses == 0; }));
  const std::multiset<std::string> stored = StoredRequests();
  for (const uint64_t i : spooled) {
    EXPECT_EQ(stored.count(absl::StrCat("request-", i)), 1u) << i;
  }
  for (const std::string& request : stored) EXPECT_EQ(stored.count(request), 1u) << request;
  EXPECT_GT(spooled.size(), 500u);
}

}  // namespace
}  // namespace tokenwatch
