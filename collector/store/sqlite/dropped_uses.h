// Uses that are gone.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_DROPPED_USES_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_DROPPED_USES_H_

#include <cstdint>

#include "collector/store/sqlite/database.h"

namespace tokenwatch::sqlite {

// How many of the uses with the numbers from + 1 to `to` retention has dropped. Quick where no day
// with such numbers was dropped; else it counts what is left of them.
uint64_t DroppedBetween(Database* database, int64_t from, int64_t to);

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_DROPPED_USES_H_
