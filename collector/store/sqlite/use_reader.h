// Finds single uses: the newest first, those of a window, or those that came after a number.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_USE_READER_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_USE_READER_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "collector/store/sqlite/database.h"
#include "collector/store/sqlite/selection.h"

namespace tokenwatch::sqlite {

// A row of a partition, with its numbers unresolved.
struct StoredUse {
  int64_t number = 0;
  int64_t time_us = 0;
  int64_t token = 0;
  int64_t workload = 0;
  int64_t shape = 0;
  int64_t status = 0;
  int64_t latency_us = 0;
  int64_t local_port = 0;
  int64_t source = 0;
  int64_t sequence = 0;
  int64_t count = 0;
  std::string request_id;  // as stored (text.h)
  bool request_packed = false;
};

// The order of uses: by time, and by number where times are equal.
struct UseOrder {
  int64_t time_us = std::numeric_limits<int64_t>::max();
  int64_t number = std::numeric_limits<int64_t>::max();
  friend auto operator<=>(const UseOrder&, const UseOrder&) = default;
};

// All functions run inside the caller's read transaction and leave errors in `database`.

// The newest `limit` uses of the selection and its filter's times that lie before `before` and
// whose number is at most `last_number`; newest first. Memory grows with `limit` only.
std::vector<StoredUse> NewestUses(Database* database, Selection* selection, UseOrder before,
                                  int64_t last_number, size_t limit);

// Calls `take` for each use of the selection in [since_us, until_us), in no order.
void ForEachUse(Database* database, Selection* selection, int64_t since_us, int64_t until_us,
                absl::FunctionRef<void(const StoredUse&)> take);

// Up to `limit` uses of the selection numbered above `*number` and at most `newest`, in the order
// of their numbers. Moves `*number` to the last one looked at; looks at a bounded number of rows a
// call, so an empty answer does not mean the end.
std::vector<StoredUse> UsesAfterNumber(Database* database, Selection* selection, size_t limit,
                                       int64_t newest, int64_t* number);

// Days with uses that overlap [since_us, until_us), newest first.
std::vector<int64_t> LiveDays(Database* database, int64_t since_us, int64_t until_us);

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_USE_READER_H_
