#include "collector/store/sqlite/dropped_uses.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "collector/store/sqlite/schema.h"

namespace tokenwatch::sqlite {

// Numbers follow each other without a hole until a day is dropped.
uint64_t DroppedBetween(Database* database, int64_t from, int64_t to) {
  if (to <= from) return 0;
  Statement& gone =
      database->Cached("SELECT 1 FROM partitions WHERE dropped = 1 AND last_use > ? LIMIT 1");
  gone.Start(from);
  const bool any = gone.Next();
  gone.Reset();
  if (!any) return 0;
  std::vector<int64_t> days;
  Statement& kept =
      database->Cached("SELECT day FROM partitions WHERE dropped = 0 AND last_use > ?");
  kept.Start(from);
  while (kept.Next()) days.push_back(kept.Int(0));
  int64_t left = to - from;
  for (const int64_t day : days) {
    Statement count = database->Prepare(
        absl::StrCat("SELECT count(*) FROM ", PartitionName(day), " WHERE use > ? AND use <= ?"));
    count.Start(from, to);
    if (count.Next()) left -= count.Int(0);
  }
  return left > 0 ? static_cast<uint64_t>(left) : 0;
}

}  // namespace tokenwatch::sqlite
