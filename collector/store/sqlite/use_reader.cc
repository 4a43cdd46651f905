#include "collector/store/sqlite/use_reader.h"

#include <algorithm>
#include <array>
#include <optional>
#include <queue>
#include <utility>

#include "absl/strings/str_cat.h"
#include "collector/store/sqlite/schema.h"

namespace tokenwatch::sqlite {
namespace {

constexpr int64_t kZoneUses = int64_t{1} << kZoneBits;
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

// What uses of a selection without tokens may be at all, over all times: the rollup without hours
// knows. Reads it as a whole, so it is worth it only where a day had too few uses.
struct Reach {
  absl::flat_hash_set<int64_t> tokens;
  int64_t first_us = kNoUntil;
  int64_t last_us = kNoSince;

  static Reach Read(Database* database, Selection* selection) {
    Reach reach;
    Statement& query = database->Cached("SELECT token, program, resource, first, span FROM usage");
    query.Start();
    while (query.Next()) {
      if (!selection->MatchesPlace(query.Int(1), query.Int(2)) ||
          !selection->MatchesOwner(query.Int(0), query.Int(1), query.Int(2))) {
        continue;
      }
      reach.tokens.insert(query.Int(0));
      reach.first_us = std::min(reach.first_us, query.Int(3));
      reach.last_us = std::max(reach.last_us, query.Int(3) + query.Int(4));
    }
    return reach;
  }
};

// When the selection has uses in a day: the rollups know the first and the last of each of their
// rows. Hours are looked at as they are asked for.
class ActiveTimes {
 public:
  // `tokens`: those of the selection, null where any may be.
  ActiveTimes(Database* database, Selection* selection, const absl::flat_hash_set<int64_t>* tokens,
              int64_t day)
      : database_(database), selection_(selection), tokens_(tokens), day_(day) {}

  // Whether there is one in the day. From its end, where the newest uses are.
  bool AnyHour() {
    if (selection_->TakesAll()) return true;
    for (int64_t hour = kHours; hour-- > 0;) {
      if (!Hour(hour).empty()) return true;
    }
    return false;
  }

  // Whether there may be a use between two times of the day, both inclusive.
  bool MayHave(int64_t oldest, int64_t newest) {
    if (selection_->TakesAll()) return true;
    const int64_t last = std::min(newest / kMicrosPerHour, kHours - 1);
    for (int64_t hour = oldest / kMicrosPerHour; hour <= last; ++hour) {
      const std::vector<Span>& spans = Hour(hour);
      // The first that does not end before.
      const auto at =
          std::lower_bound(spans.begin(), spans.end(), oldest,
                           [](const Span& span, int64_t time) { return span.newest < time; });
      if (at != spans.end() && at->oldest <= newest) return true;
    }
    return false;
  }

 private:
  static constexpr int64_t kHours = 24;
  // Microseconds into the day, both inclusive.
  struct Span {
    int64_t oldest = 0;
    int64_t newest = 0;
  };

  // Of an hour, rising and apart.
  const std::vector<Span>& Hour(int64_t hour) {
    std::optional<std::vector<Span>>& known = hours_[static_cast<size_t>(hour)];
    if (!known.has_value()) known = Read(hour);
    return *known;
  }

  std::vector<Span> Read(int64_t hour) {
    std::vector<Span> spans;
    const auto read = [&](Statement& query) {
      while (query.Next()) {
        if (!selection_->MatchesToken(query.Int(0)) ||
            !selection_->MatchesStatus(static_cast<uint32_t>(query.Int(3))) ||
            !selection_->MatchesPlace(query.Int(1), query.Int(2)) ||
            !selection_->MatchesOwner(query.Int(0), query.Int(1), query.Int(2))) {
          continue;
        }
        const int64_t oldest = hour * kMicrosPerHour + query.Int(4);
        spans.push_back({oldest, oldest + query.Int(5)});
      }
    };
    if (tokens_ == nullptr || tokens_->size() > kMaxLookups) {
      Statement& query = database_->Cached(
          "SELECT token, program, resource, status, first, span FROM hourly WHERE hour = ?");
      query.Start(day_ * kHours + hour);
      read(query);
    } else {
      Statement& query = database_->Cached(
          "SELECT token, program, resource, status, first, span FROM hourly WHERE hour = ? AND "
          "token = ?");
      for (const int64_t token : *tokens_) {
        query.Start(day_ * kHours + hour, token);
        read(query);
      }
    }
    std::sort(spans.begin(), spans.end(),
              [](const Span& a, const Span& b) { return a.oldest < b.oldest; });
    size_t kept = 0;
    for (const Span& span : spans) {
      if (kept > 0 && span.oldest <= spans[kept - 1].newest) {
        spans[kept - 1].newest = std::max(spans[kept - 1].newest, span.newest);
      } else {
        spans[kept++] = span;
      }
    }
    spans.resize(kept);
    return spans;
  }

  Database* const database_;
  Selection* const selection_;
  const absl::flat_hash_set<int64_t>* const tokens_;
  const int64_t day_;
  std::array<std::optional<std::vector<Span>>, kHours> hours_;
};

// The uses of one day.
class Partition {
 public:
  Partition(Database* database, Selection* selection, int64_t day)
      : selection_(selection),
        day_(day),
        rows_(database->Prepare(absl::StrCat(
            "SELECT time, token, workload, shape, status, use, latency, port, source, sequence, "
            "count, request FROM ",
            PartitionName(day), " WHERE use BETWEEN ?1 AND ?2",
            OnlyToken(selection) == nullptr ? "" : " AND token = ?3", " ORDER BY use"))) {}

  // Calls `take` for the selection's uses numbered from `first` to `last` within `window`, rising.
  void Read(int64_t first, int64_t last, DayWindow window,
            absl::FunctionRef<void(const StoredUse&)> take) {
    if (const int64_t* token = OnlyToken(selection_); token != nullptr) {
      rows_.Start(first, last, *token);
    } else {
      rows_.Start(first, last);
    }
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
  // The token of the selection where it has just one: SQLite passes over others faster.
  static const int64_t* OnlyToken(const Selection* selection) {
    const absl::flat_hash_set<int64_t>* tokens = selection->tokens();
    return tokens != nullptr && tokens->size() == 1 ? &*tokens->begin() : nullptr;
  }

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
  std::optional<Reach> reach;
  bool first_day = true;
  for (const int64_t day : LiveDays(database, filter.since_us, until_us)) {
    if (newest.size() >= limit) break;
    if (!std::exchange(first_day, false) && !reach.has_value() && selection->tokens() == nullptr &&
        !selection->TakesAll()) {
      reach = Reach::Read(database, selection);
    }
    if (reach.has_value()) {
      if (reach->last_us < day * kMicrosPerDay) continue;
      if (reach->first_us >= (day + 1) * kMicrosPerDay) break;
    }
    ActiveTimes active(database, selection,
                       reach.has_value() ? &reach->tokens : selection->tokens(), day);
    const DayWindow window = Within(day, filter.since_us, until_us);
    if (!active.AnyHour()) continue;
    Partition partition(database, selection, day);
    Statement& zones = database->Cached(
        "SELECT zone, oldest, newest FROM zones WHERE day = ? AND newest >= ? AND oldest < ? "
        "ORDER BY newest DESC");
    zones.Start(day, window.begin, window.end);
    while (zones.Next()) {
      if (newest.size() >= limit && day * kMicrosPerDay + zones.Int(2) < newest.top().time_us) {
        break;
      }
      const int64_t first = zones.Int(0) * kZoneUses;
      if (first > last_number || !active.MayHave(zones.Int(1), zones.Int(2))) continue;
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
                                       int64_t newest, int64_t* number) {
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
  last_number = std::min(last_number, newest);
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
