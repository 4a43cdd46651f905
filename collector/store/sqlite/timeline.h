// A token's uses over its life.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_TIMELINE_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_TIMELINE_H_

#include <cstdint>

#include "collector/store/filter.h"
#include "collector/store/sqlite/queries.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch::sqlite {

// Adds the outbound uses of the filter's token or credential, which were from `first_us` to
// `last_us`, as query.proto says. Costs a look-up for each hour of each of its ids, at most some
// ten thousand; nothing where it has no use. Inside the caller's read transaction.
void FillTimeline(Session* session, Filter filter, int64_t first_us, int64_t last_us,
                  v1::TokenDetail* detail);

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_TIMELINE_H_
