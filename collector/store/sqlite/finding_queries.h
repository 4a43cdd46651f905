// Questions about findings and deliveries, each inside the caller's read transaction. Errors stick
// to the session's database; what is returned then means nothing.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_FINDING_QUERIES_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_FINDING_QUERIES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "collector/store/detection_store.h"
#include "collector/store/filter.h"
#include "collector/store/page_token.h"
#include "collector/store/sqlite/queries.h"

namespace tokenwatch::sqlite {

// All as DetectionStore has them; `page` is null for the first page.
v1::ListFindingsResponse ListFindings(Session* session, const Filter& filter,
                                      const PagePosition* page, int64_t now_us);
// `id`: 16 bytes.
std::optional<v1::Finding> GetFinding(Session* session, absl::string_view id, int64_t now_us);
std::vector<StoredFinding> FindingsSince(Session* session, int64_t last_seen_us);
// None where there is no such column to count by.
std::optional<std::vector<std::pair<std::string, uint64_t>>> CountOpenFindings(
    Session* session, const std::string& by, int64_t now_us);

std::vector<Delivery> DueDeliveries(Session* session, const std::string& receiver, int64_t now_us,
                                    size_t limit);
std::vector<DetectionStore::WaitingDeliveries> WaitingDeliveries(Session* session);

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_FINDING_QUERIES_H_
