#include "collector/store/sqlite/usage_reader.h"

#include <algorithm>

#include "collector/store/sqlite/schema.h"
#include "collector/store/sqlite/use_reader.h"

namespace tokenwatch::sqlite {
namespace {

// Up to this many look-ups of an hour's token are cheaper than reading all rows of the hours.
constexpr int64_t kMaxSeeks = 20000;

class Reader {
 public:
  Reader(Database* database, Dimensions* dimensions, Selection* selection,
         absl::FunctionRef<void(const UsageRow&)> take)
      : database_(database), dimensions_(dimensions), selection_(selection), take_(take) {}

  void Read() {
    const Filter& filter = selection_->filter();
    if (!filter.HasTime() && !filter.HasStatus()) {
      ReadAllTime();
      return;
    }
    // Hours that have any rollup; a time outside of them selects nothing there.
    // Two queries: of one with both SQLite reads every row (https://sqlite.org/optoverview.html,
    // "The MIN/MAX optimization").
    Statement& range =
        database_->Cached("SELECT (SELECT min(hour) FROM hourly), (SELECT max(hour) FROM hourly)");
    range.Start();
    if (!range.Next() || range.IsNull(0)) return;
    const int64_t since = std::max(filter.since_us, range.Int(0) * kMicrosPerHour);
    const int64_t until = std::min(filter.until_us, (range.Int(1) + 1) * kMicrosPerHour);
    range.Reset();
    if (since >= until) return;
    const int64_t first_hour = since / kMicrosPerHour;
    const int64_t last_hour = (until - 1) / kMicrosPerHour;
    int64_t first_whole = first_hour;
    int64_t last_whole = last_hour;
    const auto end_of = [](int64_t hour) { return (hour + 1) * kMicrosPerHour; };
    if (since != first_hour * kMicrosPerHour || until < end_of(first_hour)) {
      ReadPart(first_hour, since, std::min(until, end_of(first_hour)));
      ++first_whole;
    }
    if (last_hour >= first_whole && until != end_of(last_hour)) {
      ReadPart(last_hour, last_hour * kMicrosPerHour, until);
      --last_whole;
    }
    ReadHours(first_whole, last_whole);
  }

 private:
  void Take(const UsageRow& row) {
    // Inbound uses are kept apart: no total adds them to outbound ones (design: Words).
    const bool wanted = selection_->filter().inbound.value_or(false);
    if (dimensions_->Resource(row.resource).inbound == wanted) take_(row);
  }

  void ReadAllTime() {
    const auto read = [this](Statement& query) {
      while (query.Next()) {
        UsageRow row;
        row.token = query.Int(0);
        row.program = query.Int(1);
        row.resource = query.Int(2);
        if (!selection_->MatchesPlace(row.program, row.resource) ||
            !selection_->MatchesOwner(row.token, row.program, row.resource)) {
          continue;
        }
        row.uses = static_cast<uint64_t>(query.Int(3));
        row.denied = static_cast<uint64_t>(query.Int(4));
        row.failed = static_cast<uint64_t>(query.Int(5));
        row.first_us = query.Int(6);
        row.last_us = row.first_us + query.Int(7);
        Take(row);
      }
    };
    if (selection_->tokens() == nullptr) {
      Statement& query = database_->Cached("SELECT * FROM usage");
      query.Start();
      read(query);
      return;
    }
    Statement& query = database_->Cached("SELECT * FROM usage WHERE token = ?");
    for (const int64_t token : *selection_->tokens()) {
      query.Start(token);
      read(query);
    }
  }

  // Both inclusive.
  void ReadHours(int64_t first, int64_t last) {
    const auto read = [this](Statement& query) {
      while (query.Next()) {
        UsageRow row;
        const int64_t hour = query.Int(0);
        row.token = query.Int(1);
        row.program = query.Int(2);
        row.resource = query.Int(3);
        const auto status = static_cast<uint32_t>(query.Int(4));
        if (!selection_->MatchesToken(row.token) || !selection_->MatchesStatus(status) ||
            !selection_->MatchesPlace(row.program, row.resource) ||
            !selection_->MatchesOwner(row.token, row.program, row.resource)) {
          continue;
        }
        Count(static_cast<uint64_t>(query.Int(5)), status, &row);
        row.first_us = hour * kMicrosPerHour + query.Int(6);
        row.last_us = row.first_us + query.Int(7);
        Take(row);
      }
    };
    if (first > last) return;
    const absl::flat_hash_set<int64_t>* tokens = selection_->tokens();
    if (tokens == nullptr ||
        static_cast<int64_t>(tokens->size()) > kMaxSeeks / (last - first + 1)) {
      Statement& query = database_->Cached("SELECT * FROM hourly WHERE hour BETWEEN ? AND ?");
      query.Start(first, last);
      read(query);
      return;
    }
    Statement& query = database_->Cached("SELECT * FROM hourly WHERE hour = ? AND token = ?");
    for (int64_t hour = first; hour <= last; ++hour) {
      for (const int64_t token : *tokens) {
        query.Start(hour, token);
        read(query);
      }
    }
  }

  void ReadPart(int64_t hour, int64_t since_us, int64_t until_us) {
    if (LiveDays(database_, since_us, until_us).empty()) {
      ReadHours(hour, hour);
      return;
    }
    ForEachUse(database_, selection_, since_us, until_us, [this](const StoredUse& use) {
      UsageRow row;
      row.token = use.token;
      row.program = dimensions_->ProgramOfWorkload(use.workload);
      row.resource = dimensions_->ResourceOfShape(use.shape);
      Count(static_cast<uint64_t>(use.count), static_cast<uint32_t>(use.status), &row);
      row.first_us = row.last_us = use.time_us;
      Take(row);
    });
  }

  static void Count(uint64_t uses, uint32_t status, UsageRow* row) {
    row->uses = uses;
    const Outcome outcome = Classify(status);
    if (outcome == Outcome::kDenied) {
      row->denied = uses;
    } else if (outcome != Outcome::kOk) {
      row->failed = uses;
    }
  }

  Database* const database_;
  Dimensions* const dimensions_;
  Selection* const selection_;
  const absl::FunctionRef<void(const UsageRow&)> take_;
};

}  // namespace

void ForEachUsage(Database* database, Dimensions* dimensions, Selection* selection,
                  absl::FunctionRef<void(const UsageRow&)> take) {
  Reader(database, dimensions, selection, take).Read();
}

}  // namespace tokenwatch::sqlite
