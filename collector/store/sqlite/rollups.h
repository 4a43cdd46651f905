// Sums a commit's uses in memory, then adds them to the rollup tables with one statement a table.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_ROLLUPS_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_ROLLUPS_H_

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "collector/store/outcome.h"
#include "collector/store/sqlite/database.h"
#include "collector/store/sqlite/interner.h"
#include "collector/store/sqlite/row_table.h"

namespace tokenwatch::sqlite {

// Not thread safe.
class Rollups {
 public:
  // Which sum an outbound or inbound use adds to, until Write. `hour`: since the epoch.
  size_t SumOf(const ContextRef& context, int64_t token, uint32_t status, int64_t hour);
  // Adds a use of that sum. `number`: the use's, rising from call to call.
  void Add(size_t sum, const ContextRef& context, int64_t time_us, uint32_t count, int64_t number);

  // Writes and forgets the sums, and the tokens that `interner` added, in the caller's transaction.
  void Write(Database* database, Interner* interner);

  void Clear();

 private:
  // hour, token, program, resource, status
  using Key = std::tuple<int64_t, int64_t, int64_t, int64_t, uint32_t>;
  struct Sum {
    uint64_t uses = 0;
    uint64_t denied = 0;
    uint64_t failed = 0;
    int64_t first_us = 0;
    int64_t last_us = 0;
    int64_t last_number = 0;
    // Of the newest use.
    int64_t format = 0;
    int64_t provider = 0;
    int64_t token_length = 0;
    bool inbound = false;
  };
  struct Entry {
    Key key;
    Outcome outcome = Outcome::kOk;
    Sum sum;
  };
  static void Merge(const Sum& from, Sum* into);
  void WriteHours(Database* database, absl::Span<const Entry* const> entries);
  // Returns the outbound sums by token, rising.
  std::vector<std::pair<int64_t, Sum>> WriteUsage(Database* database,
                                                  absl::Span<const Entry* const> entries);
  void WriteTokens(Database* database, Interner* interner,
                   absl::Span<const std::pair<int64_t, Sum>> tokens);

  std::vector<Entry> entries_;
  absl::flat_hash_map<Key, size_t> places_;  // in entries_
  RowTable rows_;
};

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_ROLLUPS_H_
