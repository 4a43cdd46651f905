// Findings, baselines and deliveries, inside the caller's write transaction; errors stick to the
// database.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_DETECTION_WRITER_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_DETECTION_WRITER_H_

#include <cstdint>
#include <string>

#include "absl/types/span.h"
#include "collector/store/detection_store.h"
#include "collector/store/sqlite/database.h"

namespace tokenwatch::sqlite {

// All of a commit that was checked (CheckDetectionCommit), but its facts.
void WriteDetection(Database* database, const DetectionCommit& commit);

void FinishDeliveries(Database* database,
                      absl::Span<const DetectionStore::DeliveryOutcome> outcomes);
// Returns how many were dropped.
uint64_t BoundDeliveries(Database* database, const std::string& receiver, uint64_t most);

// Findings hold uses, which retention drops: those whose last evidence is older go with them.
void DropFindings(Database* database, int64_t oldest_us);

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_DETECTION_WRITER_H_
