#include "collector/store/sqlite/use_reader.h"

#include <algorithm>
#include <queue>
#include <utility>

#include "absl/strings/str_cat.h"
#include "collector/store/sqlite/schema.h"

namespace tokenwatch::sqlite {
namespace {

constexpr int64_t kZoneUses = int64_t{1} << kZoneBits;
constexpr uint32_t kAllHours = (1U << 24) - 1;
// Numbers that UsesAfterNumber looks at in one step, and its steps.
constexpr int64_t kStepNumbers = 4096;
constexpr int kMaxSteps = 32;
// Up to this many tokens are looked up in an hour; more are cheaper found by reading the hour.
constexpr size_t kMaxLookups = 1000;

// The part of [since_us, until_us) in a day, as microseconds into the day.
struct DayWindow {
  int64_t begin = 0;
  int64_t end = 0;
};

DayWindow Within(int64_t day, int64_t since_us, int64_t until_us) {
  const int64_t start = day * kMicrosPerDay;
  return {std::clamp<int64_t>(since_us, start, start + kMicrosPerDay) - start,
          std::clamp<int64_t>(until_us, start, start + kMicrosPerDay) - start};
}

// The hours of a day in which the selection has uses, as bits; the rollups know.
uint32_t ActiveHours(Database* database, Selection* selection, int64_t day) {
  if (selection->TakesAll()) return kAllHours;
  uint32_t hours = 0;
  const auto look = [&](Statement& query, int hour) {
    while (query.Next()) {
      if (selection->MatchesToken(query.Int(0)) &&
          selection->MatchesStatus(static_cast<uint32_t>(query.Int(3))) &&
          selection->MatchesPlace(query.Int(1), query.Int(2)) &&
          selection->MatchesOwner(query.Int(0), query.Int(1), query.Int(2))) {
        hours |= 1U << hour;
        break;
      }
    }
    query.Reset();
  };
  for (int hour = 0; hour < 24; ++hour) {
    if (selection->tokens() == nullptr || selection->tokens()->size() > kMaxLookups) {
      Statement& query =
          database->Cached("SELECT token, program, resource, status FROM hourly WHERE hour = ?");
      query.Start(day * 24 + hour);
      look(query, hour);
      continue;
    }
    Statement& query = database->Cached(
        "SELECT token, program, resource, status FROM hourly WHERE hour = ? AND token = ?");
    for (const int64_t token : *selection->tokens()) {
      if ((hours >> hour & 1) != 0) break;
      query.Start(day * 24 + hour, token);
      look(query, hour);
    }
  }
  return hours;
}

bool Overlaps(uint32_t hours, int64_t oldest, int64_t newest) {
  const auto first = static_cast<int>(oldest / kMicrosPerHour);
  const auto last = static_cast<int>(newest / kMicrosPerHour);
  const uint32_t zone = ((2U << last) - 1) & ~((1U << first) - 1);
  return (hours & zone) != 0;
}

// The uses of one day.
class Partition {
 public:
  Partition(Database* database, Selection* selection, int64_t day)
      : selection_(selection),
        day_(day),
        rows_(database->Prepare(absl::StrCat(
            "SELECT time, token, workload, shape, status, use, latency, port, source, sequence, "
            "count, request FROM ",
            PartitionName(day), " WHERE use BETWEEN ? AND ? ORDER BY use"))) {}

  // Calls `take` for the selection's uses numbered from `first` to `last` within `window`, rising.
  void Read(int64_t first, int64_t last, DayWindow window,
            absl::FunctionRef<void(const StoredUse&)> take) {
    rows_.Start(first, last);
    while (rows_.Next()) {
      const int64_t time = rows_.Int(0);
      if (time < window.begin || time >= window.end) continue;
      StoredUse use;
      use.token = rows_.Int(1);
      use.workload = rows_.Int(2);
      use.shape = rows_.Int(3);
      use.status = rows_.Int(4);
      if (!selection_->MatchesUse(use.token, use.workload, use.shape,
                                  static_cast<uint32_t>(use.status))) {
        continue;
      }
      use.time_us = day_ * kMicrosPerDay + time;
      use.number = rows_.Int(5);
      use.latency_us = rows_.Int(6);
      use.local_port = rows_.Int(7);
      use.source = rows_.Int(8);
      use.sequence = rows_.Int(9);
      use.count = rows_.Int(10);
      use.request_packed = rows_.IsBlob(11);
      use.request_id = std::string(rows_.Bytes(11));
      take(use);
    }
  }

 private:
  Selection* const selection_;
  const int64_t day_;
  Statement rows_;
};

UseOrder OrderOf(const StoredUse& use) { return {use.time_us, use.number}; }

struct NewerFirst {
  bool operator()(const StoredUse& a, const StoredUse& b) const { return OrderOf(a) > OrderOf(b); }
};

}  // namespace

std::vector<int64_t> LiveDays(Database* database, int64_t since_us, int64_t until_us) {
  std::vector<int64_t> days;
  if (since_us >= until_us || until_us <= 0) return days;
  Statement& query = database->Cached(
      "SELECT day FROM partitions WHERE dropped = 0 AND day BETWEEN ? AND ? ORDER BY day DESC");
  query.Start(std::max<int64_t>(since_us, 0) / kMicrosPerDay, (until_us - 1) / kMicrosPerDay);
  while (query.Next()) days.push_back(query.Int(0));
  return days;
}

std::vector<StoredUse> NewestUses(Database* database, Selection* selection, UseOrder before,
                                  int64_t last_number, size_t limit) {
  const Filter& filter = selection->filter();
  const int64_t until_us =
      before.time_us == kNoUntil ? filter.until_us : std::min(filter.until_us, before.time_us + 1);
  // The oldest of the newest so far is on top.
  std::priority_queue<StoredUse, std::vector<StoredUse>, NewerFirst> newest;
  for (const int64_t day : LiveDays(database, filter.since_us, until_us)) {
    if (newest.size() >= limit) break;
    const uint32_t hours = ActiveHours(database, selection, day);
    if (hours == 0) continue;
    Partition partition(database, selection, day);
    const DayWindow window = Within(day, filter.since_us, until_us);
    Statement& zones = database->Cached(
        "SELECT zone, oldest, newest FROM zones WHERE day = ? AND newest >= ? AND oldest < ? "
        "ORDER BY newest DESC");
    zones.Start(day, window.begin, window.end);
    while (zones.Next()) {
      if (newest.size() >= limit && day * kMicrosPerDay + zones.Int(2) < newest.top().time_us) {
        break;
      }
      const int64_t first = zones.Int(0) * kZoneUses;
      if (first > last_number || !Overlaps(hours, zones.Int(1), zones.Int(2))) continue;
      partition.Read(first, std::min(first + kZoneUses - 1, last_number), window,
                     [&](const StoredUse& use) {
                       if (OrderOf(use) >= before) return;
                       if (newest.size() < limit) {
                         newest.push(use);
                       } else if (OrderOf(use) > OrderOf(newest.top())) {
                         newest.pop();
                         newest.push(use);
                       }
                     });
    }
    zones.Reset();
  }
  std::vector<StoredUse> uses(newest.size());
  for (size_t i = uses.size(); i-- > 0; newest.pop()) uses[i] = newest.top();
  return uses;
}

void ForEachUse(Database* database, Selection* selection, int64_t since_us, int64_t until_us,
                absl::FunctionRef<void(const StoredUse&)> take) {
  for (const int64_t day : LiveDays(database, since_us, until_us)) {
    Partition partition(database, selection, day);
    const DayWindow window = Within(day, since_us, until_us);
    Statement& zones =
        database->Cached("SELECT zone FROM zones WHERE day = ? AND newest >= ? AND oldest < ?");
    zones.Start(day, window.begin, window.end);
    while (zones.Next()) {
      const int64_t first = zones.Int(0) * kZoneUses;
      partition.Read(first, first + kZoneUses - 1, window, take);
    }
  }
}

std::vector<StoredUse> UsesAfterNumber(Database* database, Selection* selection, size_t limit,
                                       int64_t* number) {
  const Filter& filter = selection->filter();
  std::vector<std::pair<int64_t, Partition>> partitions;  // by day
  int64_t last_number = 0;
  Statement& days =
      database->Cached("SELECT day, last_use FROM partitions WHERE dropped = 0 AND last_use > ?");
  days.Start(*number);
  while (days.Next()) {
    partitions.emplace_back(days.Int(0), Partition(database, selection, days.Int(0)));
    last_number = std::max(last_number, days.Int(1));
  }
  std::vector<StoredUse> uses;
  const auto take = [&uses](const StoredUse& use) { uses.push_back(use); };
  Statement& next_zone =
      database->Cached("SELECT min(zone) FROM zones WHERE day = ? AND zone >= ?");
  for (int step = 0; step < kMaxSteps && uses.size() < limit && *number < last_number; ++step) {
    // Numbers of days that were dropped are jumped over.
    int64_t first = last_number;
    for (const auto& [day, partition] : partitions) {
      next_zone.Start(day, (*number + 1) >> kZoneBits);
      if (next_zone.Next() && !next_zone.IsNull(0)) {
        first = std::min(first, std::max(*number + 1, next_zone.Int(0) * kZoneUses));
      }
      next_zone.Reset();
    }
    const auto missing = static_cast<int64_t>(std::min<size_t>(limit - uses.size(), kStepNumbers));
    // Where nothing is passed over no more are read than are wanted.
    const int64_t last =
        std::min(first + (selection->TakesAll() ? missing : kStepNumbers) - 1, last_number);
    const size_t held = uses.size();
    for (auto& [day, partition] : partitions) {
      partition.Read(first, last, Within(day, filter.since_us, filter.until_us), take);
    }
    std::sort(uses.begin() + static_cast<ptrdiff_t>(held), uses.end(),
              [](const StoredUse& a, const StoredUse& b) { return a.number < b.number; });
    *number = last;
  }
  if (uses.size() > limit) {
    uses.resize(limit);
    *number = uses.back().number;
  }
  return uses;
}

}  // namespace tokenwatch::sqlite
