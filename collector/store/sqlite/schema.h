// Tables of the database, and the file's own identity and version.
//
// Dimensions (strings, programs, workloads, resources, shapes, tokens, agents, streams, sources)
// hold what repeats; ids in them are dense, and 0 stands for "none" or the empty string. Uses lie
// in one table a UTC day, numbered in the order of their arrival across all days; `zones` says
// between which times each run of kZoneUses numbers of a day lies, and stands in for an index by
// time at a 60th of its size. `hourly`, `usage` and `hour_totals` are the rollups; `tls_hourly` and
// `tls_usage` are those of TLS coverage, whose single rows are not kept. `token_facts` and
// `credentials` hold what was learnt of tokens beside their uses; they stay as long as the tokens,
// which is for ever. `token_marks` has the latest addresses and user agents of each token.
// `findings`, `baselines`, `detection` and `deliveries` are detection's.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_SCHEMA_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_SCHEMA_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "collector/store/sqlite/database.h"

namespace tokenwatch::sqlite {

inline constexpr int kSchemaVersion = 6;
inline constexpr int kZoneBits = 8;  // a zone is 256 numbers

inline constexpr int64_t kMicrosPerHour = 3600LL * 1000 * 1000;
inline constexpr int64_t kMicrosPerDay = 24 * kMicrosPerHour;

// Makes the tables of an empty database, or brings those of an older version to this one, in one
// transaction and without touching what is in them. FailedPrecondition says in one sentence where
// it is none of ours, or of a newer version, and what to do.
absl::Status PrepareSchema(Database* database, const std::string& path);

// "uses_20261122", for days since the epoch.
std::string PartitionName(int64_t day);

// Makes a day's table and its row in `partitions`, inside the caller's transaction.
void CreatePartition(Database* database, int64_t day);

// Drops a day's uses, inside the caller's transaction. The day stays marked as dropped and is never
// made again: what an agent still delivers for it goes into the rollups alone.
void DropPartition(Database* database, int64_t day);

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_SCHEMA_H_
