#include "agent/handover/ledger.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <tuple>

namespace tokenwatch {
namespace {

// A preempted thread begins nothing else meanwhile, so a like is among the nearest in time, on
// either side: as many as could begin at once.
constexpr size_t kBand = 256;
// Bytes of the table of one group, about. With more beginnings fewer neighbours are looked at.
constexpr size_t kMaxCells = 32 << 20;

// What a pair costs. Beyond what is usual it grows slowly: else a few preempted threads would weigh
// more than all the others, and shifting those by one would be cheaper.
constexpr uint64_t kUsualNs = 200'000;
constexpr uint64_t PairCost(uint64_t apart_ns) {
  return apart_ns <= kUsualNs ? apart_ns : kUsualNs + (apart_ns - kUsualNs) / 64;
}

// What one beginning costs that is left without its like. Twice that is what a pair may cost, so
// two of a kind within the skew are a pair.
constexpr uint64_t kAlone = PairCost(kMaxSkewNs) / 2;

uint64_t Apart(const Sighting& a, const Sighting& b) {
  return a.mono_ns > b.mono_ns ? a.mono_ns - b.mono_ns : b.mono_ns - a.mono_ns;
}

struct Group {
  std::vector<const Sighting*> theirs, mine;
};

using Key = std::tuple<uint8_t, bool, uint32_t, uint32_t, uint32_t>;

Key KeyOf(const Sighting& one) {
  return {static_cast<uint8_t>(one.kind), one.tls, one.pid, one.tag, one.message};
}

bool IsEarlier(const Sighting* a, const Sighting* b) { return a->mono_ns < b->mono_ns; }

// Pairs two lists in order at the least cost: mine[i]'s like, or null. The table is kept for the
// pairs within the skew only.
std::vector<const Sighting*> Pair(const Group& group) {
  const auto& mine = group.mine;
  const auto& theirs = group.theirs;
  enum Step : uint8_t { kPair, kSkipMine, kSkipTheirs };
  const size_t band = std::clamp(kMaxCells / (2 * mine.size()), size_t{4}, kBand);
  struct Row {
    size_t first = 0;            // of theirs
    std::vector<uint64_t> cost;  // of the last two rows only
    std::vector<uint8_t> step;
  };
  // Beyond what a row has, theirs are skipped from its end on. Nobody asks before its beginning.
  const auto cost_at = [&](const Row& row, size_t column) {
    const size_t at = std::min(column - row.first, row.cost.size() - 1);
    return row.cost[at] + (column - row.first - at) * kAlone;
  };
  // cost_at(rows[i], j): the first i of mine against the first j of theirs.
  std::vector<Row> rows(mine.size() + 1);
  rows[0].cost = {0};
  rows[0].step = {kSkipTheirs};
  size_t near = 0;
  for (size_t i = 1; i <= mine.size(); ++i) {
    const Sighting& one = *mine[i - 1];
    while (near < theirs.size() && theirs[near]->mono_ns < one.mono_ns) ++near;
    const size_t low = near - std::min(near, band);
    const size_t high = std::min(near + band, theirs.size());
    Row& row = rows[i];
    row.first = low;
    for (size_t j = low; j <= high; ++j) {
      uint64_t best = cost_at(rows[i - 1], j) + kAlone;
      uint8_t step = kSkipMine;
      if (j > low) {
        const uint64_t skip = row.cost.back() + kAlone;
        if (skip < best) best = skip, step = kSkipTheirs;
        const uint64_t apart = Apart(one, *theirs[j - 1]);
        const uint64_t pair = cost_at(rows[i - 1], j - 1) + PairCost(apart);
        if (apart <= kMaxSkewNs && pair < best) best = pair, step = kPair;
      }
      row.cost.push_back(best);
      row.step.push_back(step);
    }
    std::vector<uint64_t>().swap(rows[i - 1].cost);
  }
  std::vector<const Sighting*> like(mine.size(), nullptr);
  size_t j = theirs.size();
  for (size_t i = mine.size(); i > 0;) {
    const Row& row = rows[i];
    j = std::min(j, row.first + row.step.size() - 1);
    switch (row.step[j - row.first]) {
      case kPair:
        like[--i] = theirs[--j];
        break;
      case kSkipMine:
        --i;
        break;
      default:
        --j;
    }
  }
  return like;
}

}  // namespace

absl::flat_hash_set<uint64_t> OwnedByOther(const Ledger& ledger, absl::Span<const Sighting> mine) {
  absl::flat_hash_set<uint64_t> owned;
  std::map<Key, Group> groups;
  for (const Sighting& one : mine) {
    const bool is_near =
        one.mono_ns + kMaxSkewNs >= ledger.since_ns && one.mono_ns <= ledger.until_ns + kMaxSkewNs;
    if (is_near) {
      groups[KeyOf(one)].mine.push_back(&one);
    } else if (one.mono_ns < ledger.handover_ns) {
      owned.insert(one.id);
    }
  }
  for (const Sighting& one : ledger.sightings) {
    const auto group = groups.find(KeyOf(one));
    if (group != groups.end()) group->second.theirs.push_back(&one);
  }
  for (auto& [key, group] : groups) {
    std::stable_sort(group.mine.begin(), group.mine.end(), IsEarlier);
    std::stable_sort(group.theirs.begin(), group.theirs.end(), IsEarlier);
    const std::vector<const Sighting*> like = Pair(group);
    for (size_t i = 0; i < like.size(); ++i) {
      const Sighting& judged = like[i] != nullptr ? *like[i] : *group.mine[i];
      if (judged.mono_ns < ledger.handover_ns) owned.insert(group.mine[i]->id);
    }
  }
  return owned;
}

}  // namespace tokenwatch
