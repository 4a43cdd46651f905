// The store's questions, each inside the caller's read transaction. Errors stick to the session's
// database; what is returned then means nothing.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_QUERIES_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_QUERIES_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collector/store/filter.h"
#include "collector/store/page_token.h"
#include "collector/store/sqlite/database.h"
#include "collector/store/sqlite/dimensions.h"
#include "collector/store/sqlite/use_reader.h"
#include "collector/store/store.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch::sqlite {

// A reading connection and what it remembers.
struct Session {
  std::unique_ptr<Database> database;
  std::unique_ptr<Dimensions> dimensions;
};

// `page` is null for the first page; `last_use` is the newest use that this page may show.
v1::ListUsesResponse ListUses(Session* session, const Filter& filter, const PagePosition* page,
                              int64_t last_use);
v1::ListTokensResponse ListTokens(Session* session, const Filter& filter, const PagePosition* page,
                                  int64_t last_use);
v1::ListAgentsResponse ListAgents(Session* session, const Filter& filter, const PagePosition* page);
FleetState ReadFleet(Session* session, int64_t since_us, size_t limit);
// By owner, in no order.
std::vector<v1::Owner> SumOwners(Session* session, const Filter& filter);
v1::Stats GetStats(Session* session, const Filter& filter);

// Of the filter's token or credential, over all times; of a token without a use what others' facts
// say of it, and nothing where they do not. A token that belongs to a credential is shown alone.
std::optional<v1::TokenDetail> GetToken(Session* session, Filter filter);

// Rows of a partition with all their texts.
std::vector<v1::Use> BuildUses(Session* session, const std::vector<StoredUse>& stored);

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_QUERIES_H_
