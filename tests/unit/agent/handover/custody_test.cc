#include "agent/handover/custody.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/report/fake_file_system.h"
#include "agent/report/reporter.h"
#include "collector/store/fake_store.h"
#include "tests/unit/agent/report/sample_uses.h"
#include "tests/unit/agent/report/wait_for.h"
#include "tests/unit/collector/ingest/test_collector.h"

namespace tokenwatch {
namespace {

constexpr uint64_t kMs = 1'000'000;

// Makes a use of each answered request, as UseBuilder does.
class Uses : public ExchangeSink {
 public:
  Uses(Custody* custody, const Clock* clock) : custody_(custody), clock_(clock) {}
  void OnRequest(const RequestHead& request) override { begun_[request.exchange] = request; }
  void OnAnswer(const Answer& answer) override {
    TokenUse use = SampleUse(answer.exchange);
    use.exchange = answer.exchange;
    use.time = clock_->FromMonotonic(begun_[answer.exchange].mono_ns);
    use.status = 200;
    use.latency_us = answer.latency_ns / 1000;
    custody_->OnUse(std::move(use));
  }

 private:
  Custody* custody_;
  const Clock* clock_;
  std::map<uint64_t, RequestHead> begun_;
};

class CustodyTest : public testing::Test, public UseSink {
 protected:
  CustodyTest() { custody_.SetNext(&uses_, this); }

  void OnUse(const TokenUse& use) override { reporter_->Add(use, nullptr); }

  void Start() {
    ReporterOptions options;
    options.collector = collector_.address();
    options.spool_directory = "/spool";
    options.queue.interval = absl::Milliseconds(5);
    auto reporter = Reporter::Create(options, &files_, &real_);
    ASSERT_TRUE(reporter.ok()) << reporter.status();
    reporter_ = *std::move(reporter);
    reporter_->MarkAttached(real_.Now());
    custody_.SetReporter(reporter_.get());
    // What is added is delivered at the end where there is a connection.
    WaitFor([&] { return reporter_->State().connected; });
  }

  void Begin(uint64_t exchange, uint64_t ms, uint32_t message = 0) {
    RequestHead head;
    head.exchange = exchange;
    head.mono_ns = ms * kMs;
    head.pid = 5;
    head.tag = 6;
    head.message = message;
    if (message != 0) head.version_major = 2;
    custody_.OnRequest(head);
  }
  void End(uint64_t exchange, uint64_t latency_ms = 1) {
    const Peer peer;
    custody_.OnAnswer({.exchange = exchange,
                       .kind = AnswerKind::kAnswered,
                       .status = 200,
                       .latency_ns = latency_ms * kMs,
                       .peer = &peer});
  }
  void Whole(uint64_t exchange, uint64_t ms) { Begin(exchange, ms), End(exchange); }

  // The exchanges whose uses were reported, in all.
  std::set<uint64_t> Reported() {
    custody_.SetReporter(nullptr);
    reporter_.reset();
    std::set<uint64_t> reported;
    for (const auto& [key, row] : store_.uses()) {
      uint64_t number = 0;
      EXPECT_TRUE(absl::SimpleAtoi(row.request_id.substr(8), &number)) << row.request_id;
      EXPECT_TRUE(reported.insert(number).second) << number << " twice";
    }
    return reported;
  }
  std::set<std::string> ReportedGaps() {
    custody_.SetReporter(nullptr);
    reporter_.reset();
    std::set<std::string> kinds;
    for (const auto& [key, gap] : store_.gaps()) kinds.insert(gap.kind);
    return kinds;
  }
  Gap GapAt(const std::string& kind, uint64_t ms) {
    const absl::Time at = clock_.FromMonotonic(ms * kMs);
    return {.kind = kind, .since = at, .until = at + absl::Milliseconds(1)};
  }
  uint64_t Counter(const std::string& name) {
    Counters counters;
    custody_.AddCounters(&counters);
    return counters[name];
  }

  FakeStore store_;
  TestCollector collector_{&store_};
  FakeFileSystem files_;
  RealClock real_;
  FakeClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  Custody custody_{&clock_};
  Uses uses_{&custody_, &clock_};
  std::unique_ptr<Reporter> reporter_;
};

TEST_F(CustodyTest, LetsThroughOutsideOfAHandover) {
  Start();
  Whole(1, 10);
  custody_.AddGap(GapAt("ring_full_lost", 10));
  EXPECT_EQ(Counter("handover_uses_held"), 0u);
  EXPECT_EQ(Reported(), (std::set<uint64_t>{1}));
}

TEST_F(CustodyTest, ASuccessorReportsWhatBeganFromTheHandoverOn) {
  custody_.HoldAll();
  Whole(1, 100);   // ended long before
  Begin(2, 990);   // open at the hand-over: the owner's
  Whole(3, 1010);  // mine
  Whole(4, 998);   // both saw it, the owner at 1001: mine
  Whole(5, 1002);  // the owner at 999: the owner's
  Begin(6, 1003);  // likewise, still open
  Begin(7, 1004);  // mine, still open
  custody_.AddGap(GapAt("old_lost", 500));
  custody_.AddGap(GapAt("new_lost", 1500));
  EXPECT_EQ(Counter("handover_uses_held"), 4u);
  Start();
  Ledger ledger{.handover_ns = 1000 * kMs, .since_ns = 700 * kMs, .until_ns = 1300 * kMs};
  for (const uint64_t at : {990 * kMs, 1001 * kMs, 999 * kMs, 999 * kMs + 5, 1010 * kMs}) {
    ledger.sightings.push_back({.mono_ns = at, .pid = 5, .tag = 6});
  }
  // By order: 990 990, 998 999, 1002 999.000005, 1003 1001, 1010 1010; so 4 is the owner's.
  custody_.Decide(ledger);
  EXPECT_EQ(Counter("handover_uses_held"), 0u);
  End(2), End(6), End(7);
  Whole(8, 1400);
  Begin(9, 950);  // its head came late; the owner told it
  End(9);
  EXPECT_EQ(Reported(), (std::set<uint64_t>{3, 6, 7, 8}));
}

TEST_F(CustodyTest, ASuccessorForgetsGapsOfTheOwnersTime) {
  custody_.HoldAll();
  custody_.AddGap(GapAt("old_lost", 500));
  custody_.AddGap(GapAt("new_lost", 1500));
  Start();
  custody_.Decide({.handover_ns = 1000 * kMs});
  const std::set<std::string> gaps = ReportedGaps();
  EXPECT_EQ(gaps.count("old_lost"), 0u);
  EXPECT_EQ(gaps.count("new_lost"), 1u);
}

TEST_F(CustodyTest, ASuccessorTellsConnectionsApart) {
  custody_.HoldAll();
  tw_tls hello = {};
  hello.event = TW_TLS_HELLO;
  hello.pid = 5;
  for (const uint64_t ms : {100, 999, 1001}) {
    hello.connection = ms;
    hello.h.mono_ns = ms * kMs;
    custody_.OnTls(hello);
  }
  hello.event = TW_TLS_SEEN;
  custody_.OnTls(hello);
  Start();
  const auto of_owner = custody_.Decide(
      {.handover_ns = 1000 * kMs,
       .since_ns = 700 * kMs,
       .until_ns = 1300 * kMs,
       .sightings = {{.mono_ns = 999 * kMs + 1, .pid = 5, .kind = SightingKind::kTls},
                     {.mono_ns = 1001 * kMs - kMs * 3 / 2, .pid = 5, .kind = SightingKind::kTls}}});
  EXPECT_EQ(of_owner, (absl::flat_hash_set<uint64_t>{100, 999, 1001}));
}

TEST_F(CustodyTest, ASuccessorThatIsLeftAloneReportsWhatWasNot) {
  custody_.HoldAll();
  Whole(1, 100);               // ended before the last spooled time
  Begin(2, 150), End(2, 900);  // ended behind it
  Whole(3, 1200);              // from the hand-over time on: never the owner's
  Start();
  custody_.DecideAlone(clock_.FromMonotonic(1000 * kMs), Custody::kNever);
  EXPECT_EQ(Reported(), (std::set<uint64_t>{2, 3}));
}

TEST_F(CustodyTest, ASuccessorThatIsLeftAloneBehindTheHandoverTime) {
  custody_.HoldAll();
  Whole(1, 100);
  Whole(2, 600);
  Start();
  // The owner had marked 1000, but kept back what began from 500 on.
  custody_.DecideAlone(clock_.FromMonotonic(1000 * kMs), 500 * kMs);
  EXPECT_EQ(Reported(), (std::set<uint64_t>{2}));
}

TEST_F(CustodyTest, AnOwnerKeepsBackWhatComesLater) {
  Start();
  Whole(1, 100);
  custody_.Record();
  Begin(2, 900);
  custody_.HoldFrom(1000 * kMs);
  Whole(3, 950);
  Whole(4, 1000);
  Begin(5, 1100);
  End(2);
  EXPECT_EQ(custody_.later(), 2u);
  const Ledger told = custody_.Told(1000 * kMs, 700 * kMs, 1300 * kMs);
  EXPECT_EQ(told.sightings.size(), 4u);
  EXPECT_EQ(Reported(), (std::set<uint64_t>{1, 2, 3}));
}

TEST_F(CustodyTest, AnOwnerGoesOnWhereTheHandoverComesToNothing) {
  Start();
  custody_.Record();
  custody_.HoldFrom(1000 * kMs);
  Whole(1, 900);
  Whole(2, 1000);
  Begin(3, 1100);
  custody_.AddGap(GapAt("later_lost", 1100));
  custody_.SetReporter(nullptr);
  reporter_.reset();  // it had let the spool go
  Whole(4, 1200);
  Start();
  custody_.Resume();
  EXPECT_EQ(custody_.later(), 0u);
  End(3);
  Whole(5, 1300);
  EXPECT_EQ(Reported(), (std::set<uint64_t>{1, 2, 3, 4, 5}));
}

TEST_F(CustodyTest, WhatFindsNoRoomIsCounted) {
  custody_.HoldAll();
  const uint64_t many = Custody::kMaxHeldBytes / sizeof(TokenUse) + 1;
  for (uint64_t i = 0; i < many; ++i) Whole(i, 100);
  EXPECT_GT(Counter("handover_held_dropped"), 0u);
  EXPECT_EQ(Counter("handover_held_dropped") + Counter("handover_uses_held"), many);
}

TEST_F(CustodyTest, StreamsAreTheirNumbers) {
  custody_.HoldAll();
  Begin(1, 999, 11), End(1);
  Begin(2, 1001, 13), End(2);
  Start();
  // The owner saw them in the other order.
  custody_.Decide(
      {.handover_ns = 1000 * kMs,
       .since_ns = 700 * kMs,
       .until_ns = 1300 * kMs,
       .sightings = {
           {.mono_ns = 999 * kMs, .pid = 5, .tag = 6, .message = 13, .kind = SightingKind::kStream},
           {.mono_ns = 1001 * kMs,
            .pid = 5,
            .tag = 6,
            .message = 11,
            .kind = SightingKind::kStream}}});
  EXPECT_EQ(Reported(), (std::set<uint64_t>{1}));
}

}  // namespace
}  // namespace tokenwatch
