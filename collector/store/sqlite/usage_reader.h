// Answers from the rollups.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_USAGE_READER_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_USAGE_READER_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "collector/store/sqlite/database.h"
#include "collector/store/sqlite/dimensions.h"
#include "collector/store/sqlite/selection.h"

namespace tokenwatch::sqlite {

struct UsageRow {
  int64_t token = 0;  // 0: unresolved
  int64_t program = 0;
  int64_t resource = 0;
  uint64_t uses = 0;
  uint64_t denied = 0;
  uint64_t failed = 0;  // and throttled and unanswered
  int64_t first_us = 0;
  int64_t last_us = 0;
};

// Calls `take` with sums that together are the selection's outbound uses within its filter's times;
// the same token, program and resource may come more than once. Without times and status that reads
// one row each. Times cost a row an hour; the hours that they cut are summed from the single uses,
// and only where retention has dropped those does such an hour count as a whole.
// Inside the caller's read transaction; errors stick to `database`.
void ForEachUsage(Database* database, Dimensions* dimensions, Selection* selection,
                  absl::FunctionRef<void(const UsageRow&)> take);

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_USAGE_READER_H_
