#include "agent/handover/ledger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace tokenwatch {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kAt = 1'000'000 * kMs;

Sighting Request(uint64_t id, uint64_t mono_ns, uint32_t tag = 1) {
  return {.id = id, .mono_ns = mono_ns, .pid = 7, .tag = tag};
}

Ledger Word(std::vector<Sighting> sightings) {
  return {.handover_ns = kAt,
          .since_ns = kAt - 300 * kMs,
          .until_ns = kAt + 300 * kMs,
          .sightings = std::move(sightings)};
}

std::vector<uint64_t> Owned(const Ledger& ledger, const std::vector<Sighting>& mine) {
  const auto owned = OwnedByOther(ledger, mine);
  std::vector<uint64_t> sorted(owned.begin(), owned.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

struct Case {
  std::string name;
  std::vector<Sighting> theirs, mine;
  std::vector<uint64_t> owned;  // by the other
};

TEST(LedgerTest, TheOwnersClockDecidesAboutWhatBothSaw) {
  Sighting stream3 = Request(3, kAt - 1), stream5 = Request(5, kAt + 1);
  stream3.kind = stream5.kind = SightingKind::kStream;
  stream3.message = 3, stream5.message = 5;
  Sighting late3 = stream3, early5 = stream5;
  late3.mono_ns = kAt + 2 * kMs, early5.mono_ns = kAt - 2 * kMs;
  Sighting tls = Request(9, kAt - 1);
  tls.tls = true;
  Sighting other_process = Request(9, kAt - 1);
  other_process.pid = 8;
  const Case cases[] = {
      {"nothing seen by either", {}, {}, {}},
      {"seen later by me", {Request(0, kAt - 1)}, {Request(1, kAt + kMs)}, {1}},
      {"seen earlier by me", {Request(0, kAt + 1)}, {Request(1, kAt - kMs)}, {}},
      {"at the time itself it is mine", {Request(0, kAt)}, {Request(1, kAt - 1)}, {}},
      {"far before", {}, {Request(1, kAt - 10'000 * kMs)}, {1}},
      {"far behind", {}, {Request(1, kAt + 10'000 * kMs)}, {}},
      {"not seen by the owner, by my clock", {}, {Request(1, kAt - 1), Request(2, kAt)}, {1}},
      {"another connection's request is no like",
       {Request(0, kAt - 1, 2)},
       {Request(1, kAt + 1)},
       {}},
      {"another layer's is none", {tls}, {Request(1, kAt + 1)}, {}},
      {"another process's is none", {other_process}, {Request(1, kAt + 1)}, {}},
      {"too far apart to be one", {Request(0, kAt - 200 * kMs)}, {Request(1, kAt + 100 * kMs)}, {}},
      {"streams go by their number, whatever their order",
       {stream3, stream5},
       {early5, late3},
       {3}},
      {"several in one call",
       {Request(0, kAt - 1), Request(0, kAt - 1), Request(0, kAt + kMs)},
       {Request(1, kAt + 5), Request(2, kAt + 5), Request(3, kAt + kMs + 5)},
       {1, 2}},
      {"one that I did not see leaves the others alone",
       {Request(0, kAt - 30 * kMs), Request(0, kAt - 20 * kMs), Request(0, kAt - 1),
        Request(0, kAt + 10 * kMs)},
       {Request(1, kAt - 30 * kMs), Request(3, kAt + 1), Request(4, kAt + 10 * kMs)},
       {1, 3}},
      {"one that the owner did not see, likewise",
       {Request(0, kAt - 30 * kMs), Request(0, kAt - 1), Request(0, kAt + 10 * kMs)},
       {Request(1, kAt - 30 * kMs), Request(2, kAt - 20 * kMs), Request(3, kAt + 1),
        Request(4, kAt + 10 * kMs)},
       {1, 2, 3}},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(Owned(Word(one.theirs), one.mine), one.owned) << one.name;
  }
}

// Both see the same, at times that differ by up to what a preempted thread waits, in either order;
// on each connection one after the other. Exactly what the owner keeps must go.
TEST(LedgerTest, SplitsTrafficWithoutLossOrDouble) {
  std::mt19937_64 random(4);
  for (int round = 0; round < 200; ++round) {
    std::vector<Sighting> theirs, mine;
    std::vector<uint64_t> owned;
    uint64_t id = 0;
    const uint64_t period = 20'000 + random() % (20 * kMs);
    for (uint32_t tag = 1; tag <= 3; ++tag) {
      for (uint64_t at = kAt - 500 * kMs; at < kAt + 500 * kMs;) {
        ++id;
        const bool is_preempted = random() % 100 == 0;
        const uint64_t apart = is_preempted ? random() % (8 * kMs) : random() % 5'000;
        const bool i_am_first = (tag + static_cast<uint32_t>(round)) % 2 == 0;
        const uint64_t theirs_at = at + (i_am_first ? apart : 0);
        const uint64_t mine_at = at + (i_am_first ? 0 : apart);
        if (theirs_at < kAt) owned.push_back(id);
        if (theirs_at >= kAt - 300 * kMs && theirs_at <= kAt + 300 * kMs) {
          theirs.push_back(Request(0, theirs_at, tag));
        }
        mine.push_back(Request(id, mine_at, tag));
        at += apart + 10'000 + random() % period;
      }
    }
    std::shuffle(theirs.begin(), theirs.end(), random);
    ASSERT_EQ(Owned(Word(theirs), mine), owned) << "round " << round << ", period " << period;
  }
}

TEST(LedgerTest, AGroupWithoutEndTakesBoundedWork) {
  std::vector<Sighting> theirs, mine;
  for (uint64_t i = 0; i < 60'000; ++i) {
    theirs.push_back(Request(0, kAt - 300 * kMs + i * 10'000));
    mine.push_back(Request(i + 1, kAt - 300 * kMs + i * 10'000 + 1'000));
  }
  EXPECT_EQ(Owned(Word(theirs), mine).size(), 30'000u);
}

}  // namespace
}  // namespace tokenwatch
