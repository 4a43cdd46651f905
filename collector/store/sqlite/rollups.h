// Sums a commit's uses in memory, then adds them to the rollup tables with one statement a table.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_ROLLUPS_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_ROLLUPS_H_

#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "collector/store/sqlite/database.h"
#include "collector/store/sqlite/interner.h"
#include "collector/store/sqlite/row_table.h"

namespace tokenwatch::sqlite {

// Not thread safe.
class Rollups {
 public:
  // `number`: the use's, rising from call to call.
  void Add(const ContextRef& context, int64_t token, uint32_t status, int64_t time_us,
           uint32_t count, int64_t number);

  // Writes and forgets the sums, and the tokens that `interner` added, in the caller's transaction.
  void Write(Database* database, Interner* interner);

  void Clear() { hours_.clear(); }

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
  using Entry = std::pair<const Key, Sum>;
  static void Merge(const Sum& from, Sum* into);
  void WriteHours(Database* database, absl::Span<const Entry* const> entries);
  // Returns the outbound sums by token, rising.
  std::vector<std::pair<int64_t, Sum>> WriteUsage(Database* database,
                                                  absl::Span<const Entry* const> entries);
  void WriteTokens(Database* database, Interner* interner,
                   absl::Span<const std::pair<int64_t, Sum>> tokens);

  absl::flat_hash_map<Key, Sum> hours_;
  RowTable rows_;
};

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_ROLLUPS_H_
