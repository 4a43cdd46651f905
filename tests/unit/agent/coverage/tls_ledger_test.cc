#include "agent/coverage/tls_ledger.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/common/clock.h"

namespace tokenwatch {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

class FakeSights : public TlsSights {
 public:
  void Look(uint64_t process, uint32_t, const std::string& exe) override { looked[process] = exe; }
  std::optional<std::string> WhyDark(uint64_t process, uint64_t) override {
    const auto at = reasons.find(process);
    return at == reasons.end() ? std::nullopt : std::optional(at->second);
  }
  void Forget(uint64_t process) override { forgotten.insert(process); }

  std::map<uint64_t, std::string> looked, reasons;
  std::set<uint64_t> forgotten;
};

class TlsLedgerTest : public testing::Test {
 protected:
  void Tell(uint64_t connection, uint8_t event, uint64_t process = 1, uint8_t sends = 0) {
    tw_tls segment = {};
    segment.h.mono_ns = now_;
    segment.connection = connection;
    segment.process = process;
    segment.pid = 100;
    segment.event = event;
    segment.sends = sends;
    ledger_.OnTls(segment);
  }
  void Wait(uint64_t seconds) {
    now_ += seconds * kSecond;
    ledger_.Sweep(now_, lost_);
  }
  // Connections by executable and reason, as emitted.
  std::map<std::string, uint64_t> Emitted() const {
    std::map<std::string, uint64_t> sums;
    for (const TlsCoverage& row : emitted_) sums[row.exe + ":" + row.reason] += row.connections;
    return sums;
  }
  uint64_t Counter(const std::string& name) const {
    Counters counters;
    ledger_.AddCounters(&counters);
    return counters[name];
  }

  using Sums = std::map<std::string, uint64_t>;

  uint64_t now_ = kSecond;
  uint64_t lost_ = 0;
  FakeClock clock_{absl::FromUnixSeconds(1'800'000'000)};
  FakeSights sights_;
  std::map<uint64_t, Workload> workloads_ = {{1, {.exe = "/usr/bin/app"}}};
  std::vector<TlsCoverage> emitted_;
  TlsLedger ledger_{&sights_, &clock_,
                    [this](uint64_t process, uint32_t) {
                      return std::make_shared<const Workload>(workloads_[process]);
                    },
                    [this](const TlsCoverage& row) { emitted_.push_back(row); }};
};

TEST_F(TlsLedgerTest, SeenOnceHoweverItEnds) {
  Tell(10, TW_TLS_HELLO);
  Tell(10, TW_TLS_SEEN);
  Tell(10, TW_TLS_SEEN);
  Tell(10, TW_TLS_CLOSED, 0, 9);
  Wait(1);
  EXPECT_EQ(Emitted(), (Sums{{"/usr/bin/app:", 1}}));
  EXPECT_EQ(emitted_[0].since, clock_.FromMonotonic(kSecond));
  EXPECT_EQ(Counter("tls_connections_seen"), 1u);
  EXPECT_EQ(Counter("tls_connections_dark"), 0u);
}

TEST_F(TlsLedgerTest, DarkAtItsEndWhereItCarriedData) {
  sights_.reasons[1] = "gnutls";
  Tell(10, TW_TLS_HELLO);
  Wait(60);
  EXPECT_TRUE(emitted_.empty());  // nothing was sent behind the handshake yet
  Tell(10, TW_TLS_CLOSED, 0, TW_TLS_DATA_SENDS);
  Wait(1);
  EXPECT_EQ(Emitted(), (Sums{{"/usr/bin/app:gnutls", 1}}));
}

TEST_F(TlsLedgerTest, AHandshakeWithoutDataIsNeither) {
  Tell(10, TW_TLS_HELLO);
  Tell(10, TW_TLS_CLOSED, 0, TW_TLS_DATA_SENDS - 1);
  Wait(1);
  EXPECT_TRUE(emitted_.empty());
  EXPECT_EQ(Counter("tls_handshakes_without_data"), 1u);
}

TEST_F(TlsLedgerTest, BusyIsDarkAfterAWhileOnly) {
  sights_.reasons[1] = "java";
  Tell(10, TW_TLS_HELLO);
  Tell(10, TW_TLS_BUSY);
  Tell(11, TW_TLS_HELLO);
  Tell(11, TW_TLS_BUSY);
  Wait(9);
  EXPECT_TRUE(emitted_.empty());
  Tell(11, TW_TLS_SEEN);
  Wait(1);
  EXPECT_EQ(Emitted(), (Sums{{"/usr/bin/app:java", 1}, {"/usr/bin/app:", 1}}));
  // The verdict stands.
  Tell(10, TW_TLS_SEEN);
  Tell(10, TW_TLS_CLOSED, 0, 200);
  Wait(60);
  EXPECT_EQ(emitted_.size(), 2u);
}

TEST_F(TlsLedgerTest, WaitsForTheReasonAndNotForEver) {
  Tell(10, TW_TLS_HELLO);
  Tell(10, TW_TLS_CLOSED, 0, 5);
  Wait(1);
  EXPECT_TRUE(emitted_.empty());
  sights_.reasons[1] = "go";
  Wait(1);
  EXPECT_EQ(Emitted(), (Sums{{"/usr/bin/app:go", 1}}));
  Tell(20, TW_TLS_HELLO, 2);
  Tell(20, TW_TLS_CLOSED, 0, 5);
  Wait(11);
  EXPECT_EQ(Emitted(), (Sums{{"/usr/bin/app:go", 1}, {":unknown", 1}}));
}

TEST_F(TlsLedgerTest, WhatIsKnownOfAnExecutableServesAProcessThatIsGone) {
  workloads_[2] = workloads_[1];
  workloads_[3] = {.exe = "/usr/bin/app", .container_id = "c1"};
  sights_.reasons = {{1, "rustls"}, {2, "unknown"}, {3, "unknown"}};
  for (const uint64_t process : {1, 2, 3}) {
    Tell(process, TW_TLS_HELLO, process);
    Tell(process, TW_TLS_CLOSED, 0, 3);
    Wait(1);
  }
  // Another container may hold another file under that name.
  EXPECT_EQ(Emitted(), (Sums{{"/usr/bin/app:rustls", 2}, {"/usr/bin/app:unknown", 1}}));
}

TEST_F(TlsLedgerTest, TheMomentOfOneConnectionSaysNothingOfAnother) {
  workloads_[2] = workloads_[1];
  sights_.reasons = {{1, "attached_late"}, {2, "unknown"}};
  for (const uint64_t process : {1, 2}) {
    Tell(process, TW_TLS_HELLO, process);
    Tell(process, TW_TLS_CLOSED, 0, 3);
    Wait(1);
  }
  EXPECT_EQ(Emitted(), (Sums{{"/usr/bin/app:attached_late", 1}, {"/usr/bin/app:unknown", 1}}));
}

TEST_F(TlsLedgerTest, AnExecutableIsLookedForOnTheHostOnly) {
  workloads_[2] = {.exe = "/usr/bin/app", .container_id = "c1"};
  Tell(10, TW_TLS_HELLO, 1);
  Tell(20, TW_TLS_HELLO, 2);
  EXPECT_EQ(sights_.looked, (std::map<uint64_t, std::string>{{1, "/usr/bin/app"}, {2, ""}}));
}

TEST_F(TlsLedgerTest, NothingIsCalledDarkWhereSegmentsWereLost) {
  sights_.reasons[1] = "unmatched";
  Tell(10, TW_TLS_HELLO);
  Tell(11, TW_TLS_HELLO);
  lost_ = 1;
  Wait(1);
  Tell(10, TW_TLS_CLOSED, 0, 3);
  Tell(11, TW_TLS_SEEN);
  Tell(12, TW_TLS_HELLO);
  Tell(12, TW_TLS_CLOSED, 0, 3);
  Wait(1);
  EXPECT_EQ(Emitted(), (Sums{{"/usr/bin/app:", 1}, {"/usr/bin/app:unmatched", 1}}));
  EXPECT_EQ(Counter("tls_connections_untold_lost"), 1u);
}

TEST_F(TlsLedgerTest, WhatIsNeverToldAfterALossIsGivenUp) {
  Tell(10, TW_TLS_HELLO);
  lost_ = 1;
  Wait(1);
  ledger_.OnExit(1);
  Wait(59);
  EXPECT_EQ(Counter("tls_connections_untold_lost"), 0u);
  Wait(2);
  EXPECT_EQ(Counter("tls_connections_untold_lost"), 1u);
  EXPECT_EQ(sights_.forgotten, std::set<uint64_t>{1});
  EXPECT_TRUE(emitted_.empty());
}

TEST_F(TlsLedgerTest, QuicIsCountedAtOnce) {
  Tell(10, TW_TLS_QUIC);
  Wait(1);
  EXPECT_EQ(Emitted(), (Sums{{"/usr/bin/app:quic", 1}}));
}

TEST_F(TlsLedgerTest, AnImageIsForgottenWithItsLastConnection) {
  sights_.reasons[1] = "go";
  Tell(10, TW_TLS_HELLO);
  Tell(10, TW_TLS_CLOSED, 0, 3);
  ledger_.OnExit(1);
  EXPECT_TRUE(sights_.forgotten.empty());
  Wait(1);
  EXPECT_EQ(sights_.forgotten, std::set<uint64_t>{1});
  Tell(20, TW_TLS_HELLO, 2);
  Tell(20, TW_TLS_SEEN, 2);
  ledger_.OnExit(2);
  EXPECT_EQ(sights_.forgotten, (std::set<uint64_t>{1, 2}));
}

TEST_F(TlsLedgerTest, AnEndDecidesWhatCarriesData) {
  sights_.reasons[1] = "go";
  Tell(10, TW_TLS_HELLO);
  Tell(10, TW_TLS_BUSY);
  Tell(11, TW_TLS_HELLO);
  ledger_.Finish();
  EXPECT_EQ(Emitted(), (Sums{{"/usr/bin/app:go", 1}}));
}

TEST_F(TlsLedgerTest, AHandOverLeavesNothingUncounted) {
  sights_.reasons[1] = "go";
  Tell(10, TW_TLS_HELLO);
  Tell(10, TW_TLS_BUSY);
  Tell(11, TW_TLS_HELLO);  // only begun: it cannot be decided
  const uint64_t agreed = ++now_;
  ledger_.HoldFrom(agreed);
  Tell(12, TW_TLS_HELLO);
  Tell(12, TW_TLS_SEEN);
  ledger_.FinishBefore(agreed);
  EXPECT_EQ(Emitted(), (Sums{{"/usr/bin/app:go", 1}}));
  EXPECT_EQ(Counter("tls_connections_untold_lost"), 1u);
  // It came to nothing.
  ledger_.Release([](uint64_t, uint64_t) { return true; });
  Tell(11, TW_TLS_SEEN);
  Wait(1);
  EXPECT_EQ(Emitted(), (Sums{{"/usr/bin/app:go", 1}, {"/usr/bin/app:", 1}}));
}

TEST_F(TlsLedgerTest, TooManyAreCounted) {
  for (uint64_t i = 0; i <= TlsLedger::kMaxOpen; ++i) Tell(i + 1, TW_TLS_HELLO);
  EXPECT_EQ(Counter("tls_connections_not_followed_unseen"), 1u);
}

TEST_F(TlsLedgerTest, TotalsFoldProgramsBeyondTheirBound) {
  for (uint64_t i = 0; i < TlsCoverageSums::kMaxRows + 5; ++i) {
    workloads_[i + 1].exe = "/bin/" + std::to_string(i);
    Tell(i + 1, TW_TLS_HELLO, i + 1);
    Tell(i + 1, TW_TLS_SEEN, i + 1);
  }
  uint64_t named = 0, unnamed = 0;
  for (const TlsCoverage& row : ledger_.Totals()) {
    (row.exe.empty() ? unnamed : named) += row.connections;
  }
  EXPECT_EQ(named, TlsCoverageSums::kMaxRows);
  EXPECT_EQ(unnamed, 5u);
}

}  // namespace
}  // namespace tokenwatch
