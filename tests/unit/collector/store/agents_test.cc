// Agents, their gaps, and following uses as they are committed.
#include <gtest/gtest.h>

#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch::testing {
namespace {

AgentInfo Info(const std::string& agent, const std::string& host) {
  AgentInfo info;
  info.agent = "agt_" + agent;
  info.host = host;
  info.version = "0.1.0";
  info.kernel = "6.1.0";
  info.capture = "fentry";
  info.address = "192.0.2.9";
  info.key_ids = {"key_00000001", "key_00000002"};
  info.seen_us = kNow;
  info.counters = {{"segments", 12}, {"ring_full_lost", 3}};
  return info;
}

GapRow Gap(const std::string& kind, uint64_t count, int64_t since_us, int64_t until_us) {
  GapRow gap;
  gap.kind = kind;
  gap.detail = "libssl.so.3";
  gap.comm = "curl";
  gap.exe = "/usr/bin/curl";
  gap.count = count;
  gap.since_us = since_us;
  gap.until_us = until_us;
  gap.pid = 77;
  return gap;
}

TEST(Agents, FleetHasWhoWasSeenSince) {
  StoreFixture fixture;
  for (int i = 0; i < 4; ++i) {
    AgentInfo info = Info(std::to_string(i), "web-" + std::to_string(i));
    info.seen_us = kNow - (4 - i) * kHour;
    fixture.SetNow(info.seen_us);
    ASSERT_TRUE(fixture.store().RecordAgent(info).ok());
  }
  fixture.SetNow(kNow);
  ASSERT_TRUE(
      fixture.store().Commit({Batch("1", 1, 1, {Use(PlainContext(), Token(1), kNow)})}).ok());
  const auto fleet = fixture.store().Fleet(kNow - 3 * kHour, 10);
  ASSERT_TRUE(fleet.ok()) << fleet.status();
  EXPECT_EQ(fleet->known, 4);
  ASSERT_EQ(fleet->agents.size(), 3);
  EXPECT_EQ(fleet->agents[0].agent, "agt_1");  // it has just sent a use
  EXPECT_EQ(fleet->agents[0].uses, 1);
  EXPECT_EQ(fleet->agents[1].agent, "agt_3");
  EXPECT_EQ(fleet->agents[1].host, "web-3");
  EXPECT_EQ(fleet->agents[1].version, "0.1.0");
  EXPECT_EQ(fleet->agents[1].kernel, "6.1.0");
  EXPECT_EQ(fleet->agents[1].capture, "fentry");
  EXPECT_EQ(fleet->agents[1].seen_us, kNow - kHour);
  EXPECT_EQ(fleet->agents[1].counters.at("ring_full_lost"), 3);
  const auto bounded = fixture.store().Fleet(0, 2);
  ASSERT_TRUE(bounded.ok());
  EXPECT_EQ(bounded->agents.size(), 2);
  EXPECT_EQ(bounded->known, 4);
}

TEST(Agents, SpaceGrowsWithWhatIsKept) {
  StoreFixture fixture;
  const auto before = fixture.store().Space();
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_GT(before->bytes, 0);
  EXPECT_LE(before->free_bytes, before->capacity_bytes);
  std::vector<UseRow> uses;
  for (int i = 0; i < 5000; ++i) uses.push_back(Use(PlainContext(), Token(i), kNow + i));
  ASSERT_TRUE(fixture.store().Commit({Batch("a", 1, 1, std::move(uses))}).ok());
  EXPECT_GT(fixture.store().Space()->bytes, before->bytes + 5000 * 40);
}

TEST(Agents, AreListedWithWhatTheySaid) {
  StoreFixture fixture;
  ASSERT_TRUE(fixture.store().RecordAgent(Info("a", "web-1")).ok());
  ASSERT_TRUE(fixture.store()
                  .Commit({Batch("a", 1, 1, {Use(PlainContext(), Token(1), kNow)},
                                 {Gap("ring_full", 4, kNow - kMinute, kNow)})})
                  .ok());
  fixture.SetNow(kNow + kMinute);
  AgentInfo later = Info("a", "web-1");
  later.seen_us = kNow + kMinute;
  later.counters["segments"] = 20;
  ASSERT_TRUE(fixture.store().RecordAgent(later).ok());
  for (int round = 0; round < 2; ++round) {
    const std::vector<v1::Agent> agents = fixture.Agents();
    ASSERT_EQ(agents.size(), 1);
    const v1::Agent& agent = agents[0];
    EXPECT_EQ(agent.agent(), "agt_a");
    EXPECT_EQ(agent.host(), "web-1");
    EXPECT_EQ(agent.version(), "0.1.0");
    EXPECT_EQ(agent.kernel(), "6.1.0");
    EXPECT_EQ(agent.capture(), "fentry");
    EXPECT_EQ(agent.address(), "192.0.2.9");
    EXPECT_EQ(agent.key_ids_size(), 2);
    EXPECT_FALSE(agent.connected());
    EXPECT_EQ(Micros(agent.first_seen()), kNow);
    EXPECT_EQ(Micros(agent.last_seen()), kNow + kMinute);
    EXPECT_EQ(agent.uses(), 1);
    EXPECT_EQ(agent.counters().at("segments"), 20);
    EXPECT_EQ(agent.counters().at("ring_full_lost"), 3);
    EXPECT_FALSE(agent.counters().contains("store_times_replaced"));
    ASSERT_EQ(agent.gaps_size(), 1);
    const v1::AgentGap& gap = agent.gaps(0);
    EXPECT_EQ(gap.kind(), "ring_full");
    EXPECT_EQ(gap.detail(), "libssl.so.3");
    EXPECT_EQ(gap.count(), 4);
    EXPECT_EQ(Micros(gap.since()), kNow - kMinute);
    EXPECT_EQ(Micros(gap.until()), kNow);
    EXPECT_EQ(gap.pid(), 77);
    EXPECT_EQ(gap.comm(), "curl");
    EXPECT_EQ(gap.exe(), "/usr/bin/curl");
    fixture.Reopen();
  }
  EXPECT_FALSE(fixture.store().RecordAgent({}).ok());
}

TEST(Agents, ShowTheirNewestHundredGapsAndCountAll) {
  StoreFixture fixture;
  std::vector<GapRow> gaps;
  for (int i = 0; i < 150; ++i)
    gaps.push_back(Gap("ring_full", 2, kNow - kDay, kNow - i * kSecond));
  fixture.Add({}, gaps);
  const v1::Agent agent = fixture.Agents()[0];
  ASSERT_EQ(agent.gaps_size(), 100);
  EXPECT_EQ(Micros(agent.gaps(0).until()), kNow);
  EXPECT_EQ(Micros(agent.gaps(99).until()), kNow - 99 * kSecond);
  ASSERT_EQ(agent.gap_totals_size(), 1);
  EXPECT_EQ(agent.gap_totals(0).count(), 300);
  EXPECT_EQ(Micros(agent.gap_totals(0).since()), kNow - kDay);
  EXPECT_EQ(Micros(agent.gap_totals(0).until()), kNow);
  EXPECT_EQ(fixture.Stats().gaps(), 300);
  // Gaps of a window are those that touch it.
  EXPECT_EQ(fixture.Stats(Filtered("since", "10s")).gaps(), 22);
  EXPECT_EQ(fixture.Agents(Filtered("since", "10s"))[0].gaps_size(), 11);
  EXPECT_EQ(fixture.Stats(Filtered("until", "25h")).gaps(), 0);
}

TEST(Agents, NoKindOfGapHidesAnother) {
  StoreFixture fixture;
  fixture.Add({}, {Gap("http2_unseen", 3, kNow - kDay, kNow - kMinute)});
  std::vector<GapRow> gaps(120, Gap("ring_full", 1, kNow - kSecond, kNow - kSecond));
  gaps.push_back(Gap("agent_stopped", 1, kNow - kSecond, kNow));
  fixture.Add({}, gaps);
  const v1::Agent agent = fixture.Agents()[0];
  std::string totals;
  for (const v1::AgentGapTotal& total : agent.gap_totals()) {
    totals += total.kind() + "=" + std::to_string(total.count()) + " ";
  }
  EXPECT_EQ(totals, "agent_stopped=1 ring_full=120 http2_unseen=3 ");
}

TEST(Agents, SurviveCountsThatNobodyCanMean) {
  StoreFixture fixture;
  const uint64_t huge = ~uint64_t{0};
  fixture.Add({}, std::vector<GapRow>(50, Gap("ring_full", huge, kNow * 1000, -5)));
  UseRow use = Use(PlainContext(), Token(1), kNow);
  use.latency_us = huge;
  use.count = ~uint32_t{0};
  use.local_port = ~uint32_t{0};
  fixture.Add(std::vector<UseRow>(100, use));
  EXPECT_GT(fixture.Stats().gaps(), 0);
  EXPECT_EQ(fixture.Stats().uses(), 100 * uint64_t{~uint32_t{0}});
  EXPECT_EQ(fixture.Agents()[0].gaps_size(), 50);
  EXPECT_LE(Micros(fixture.Agents()[0].gaps(0).until()), kNow);
  EXPECT_GT(fixture.Uses()[0].latency_us(), uint64_t{1} << 62);
  const auto odd = Context([](UseContext& made) {
    made.workload.mutable_start_time()->set_seconds(std::numeric_limits<int64_t>::max());
    made.workload.set_pid(~uint32_t{0});
    made.peer_port = ~uint32_t{0};
    made.token_length = ~uint32_t{0};
  });
  fixture.Add({Use(odd, Token(1), kNow + 1)});
  EXPECT_EQ(fixture.Uses()[0].workload().start_time().seconds(), 253402300799);
  EXPECT_EQ(fixture.Uses()[0].peer_port(), ~uint32_t{0});
}

TEST(Agents, ComeInPagesAndByHost) {
  StoreFixture fixture;
  for (int i = 0; i < 7; ++i) {
    const std::string number = std::to_string(i);
    ASSERT_TRUE(fixture.store().RecordAgent(Info(number, "web-" + number)).ok());
  }
  v1::ListRequest request;
  request.set_limit(3);
  std::vector<std::string> hosts;
  int pages = 0;
  do {
    const v1::ListAgentsResponse page = fixture.store().ListAgents(request).value();
    for (const v1::Agent& agent : page.agents()) hosts.push_back(agent.host());
    request.set_page_token(page.next_page_token());
    // Heartbeats do not shuffle what is to come.
    ASSERT_TRUE(fixture.store()
                    .RecordAgent(Info(std::to_string(pages), "web-" + std::to_string(pages)))
                    .ok());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(hosts, (std::vector<std::string>{"web-6", "web-5", "web-4", "web-3", "web-2", "web-1",
                                             "web-0"}));
  ASSERT_EQ(fixture.Agents(Filtered("host", "WEB-3")).size(), 1);
  EXPECT_TRUE(fixture.Agents(Filtered("host", "web")).empty());
  fixture.SetNow(kNow + 2 * kHour);
  EXPECT_TRUE(fixture.Agents(Filtered("since", "1h")).empty());
  EXPECT_EQ(fixture.Stats(Filtered("since", "1h")).agents(), 0);
  EXPECT_EQ(fixture.Stats().agents(), 7);
  // A filter that cannot choose among agents is no silent one.
  const absl::Status refused = fixture.store().ListAgents(Filtered("status", "403")).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(refused.message().find("status:") == 0) << refused;
}

TEST(Tail, FollowsTheOrderOfCommits) {
  StoreFixture fixture;
  const auto context = PlainContext();
  fixture.Add({Use(context, Token(1), kNow)});
  std::string cursor;
  EXPECT_TRUE(fixture.store().UsesAfter({}, &cursor, 10).value().empty());
  EXPECT_FALSE(cursor.empty());
  EXPECT_TRUE(fixture.store().UsesAfter({}, &cursor, 10).value().empty());
  // Late ones of other days too, each once, however small the steps.
  std::vector<UseRow> late;
  for (int i = 0; i < 5; ++i) late.push_back(Use(context, Token(2), kNow - i * kDay));
  fixture.Add(late);
  fixture.Add({Use(context, Token(3), kNow - kHour)});
  std::vector<uint64_t> sequences;
  std::string small = cursor;
  for (int i = 0; i < 10; ++i) {
    const std::vector<v1::Use> step = fixture.store().UsesAfter({}, &small, 1).value();
    for (const v1::Use& use : step) sequences.push_back(use.sequence());
  }
  ASSERT_EQ(sequences.size(), 6);
  EXPECT_EQ(sequences.back(), 7);
  EXPECT_EQ(std::set<uint64_t>(sequences.begin(), sequences.end()).size(), 6);
  std::string large = cursor;
  EXPECT_EQ(fixture.store().UsesAfter({}, &large, 100).value().size(), 6);
  EXPECT_EQ(large, small);
  // Filters choose, and what they leave out is not looked at again.
  std::string filtered = cursor;
  EXPECT_EQ(
      fixture.store().UsesAfter(Filtered("token", TokenText(3)), &filtered, 100).value().size(), 1);
  EXPECT_EQ(filtered, small);
  // The cursor outlives the collector.
  fixture.Reopen();
  EXPECT_EQ(fixture.store().UsesAfter({}, &cursor, 100).value().size(), 6);
  std::string bad = "x";
  EXPECT_EQ(fixture.store().UsesAfter({}, &bad, 1).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(fixture.store().UsesAfter(Filtered("since", "x"), &cursor, 1).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Tail, GetsThroughMoreThanItReadsAtOnce) {
  StoreFixture fixture;
  const auto context = PlainContext();
  std::string cursor;
  ASSERT_TRUE(fixture.store().UsesAfter({}, &cursor, 1).ok());
  constexpr int kUses = 300000;
  std::vector<UseRow> uses(kUses / 10, Use(context, Token(1), kNow));
  for (int i = 0; i < 10; ++i) fixture.Add(uses);
  fixture.Add({Use(context, Token(2), kNow)});
  const v1::ListRequest rare = Filtered("token", TokenText(2));
  size_t found = 0;
  int calls = 0;
  for (std::string before; before != cursor; ++calls) {
    before = cursor;
    found += fixture.store().UsesAfter(rare, &cursor, 10).value().size();
  }
  EXPECT_EQ(found, 1);
  EXPECT_GT(calls, 2) << "one call looks at a bounded number";
}

}  // namespace
}  // namespace tokenwatch::testing
