#include "collector/store/sqlite/detection_writer.h"

#include <algorithm>
#include <array>
#include <limits>

#include "collector/store/finding_filter.h"
#include "collector/store/finding_words.h"

namespace tokenwatch::sqlite {
namespace {

// As SQLite has it.
int64_t Signed(uint64_t number) {
  return static_cast<int64_t>(
      std::min<uint64_t>(number, static_cast<uint64_t>(std::numeric_limits<int64_t>::max())));
}

void WriteFinding(Database* database, const StoredFinding& stored) {
  const v1::Finding& finding = stored.finding;
  std::array<uint8_t, 16> id{};
  ParseFindingIdText(finding.finding_id(), &id);
  Statement& upsert = database->Cached(
      "INSERT INTO findings VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(finding) DO UPDATE "
      "SET last_number = excluded.last_number, last_seen = excluded.last_seen, "
      "severity = excluded.severity, state = excluded.state, rule = excluded.rule, "
      "policy_rule = excluded.policy_rule, owner = excluded.owner RETURNING id");
  upsert.Start(Blob{{reinterpret_cast<const char*>(id.data()), id.size()}},
               Signed(stored.last_number), LastSeenMicros(finding),
               SeverityRank(finding.severity()).value_or(0), finding.state(), finding.rule(),
               finding.policy_rule(), finding.owner());
  const int64_t row = upsert.Next() ? upsert.Int(0) : 0;
  upsert.Reset();
  const std::string details = finding.SerializeAsString();
  database->Cached("INSERT OR REPLACE INTO finding_details VALUES(?, ?)").Run(row, Blob{details});
  database->Cached("DELETE FROM finding_subjects WHERE finding = ?").Run(row);
  Statement& add = database->Cached("INSERT INTO finding_subjects VALUES(?, ?)");
  for (const std::string& subject : FindingSubjects(finding)) add.Run(Blob{subject}, row);
}

}  // namespace

void WriteDetection(Database* database, const DetectionCommit& commit) {
  for (const StoredFinding& stored : commit.findings) WriteFinding(database, stored);
  for (const StoredBaseline& baseline : commit.baselines) {
    if (baseline.bytes.empty()) {
      database->Cached("DELETE FROM baselines WHERE name = ?").Run(baseline.name);
      continue;
    }
    database
        ->Cached(
            "INSERT INTO baselines VALUES(NULL, ?, ?) ON CONFLICT(name) DO UPDATE SET "
            "bytes = excluded.bytes")
        .Run(baseline.name, Blob{baseline.bytes});
  }
  if (commit.judged.has_value()) {
    database->Cached("INSERT OR REPLACE INTO detection VALUES(1, ?)").Run(Signed(*commit.judged));
  }
  for (const Delivery& delivery : commit.deliveries) {
    database
        ->Cached(
            "INSERT INTO deliveries(receiver, key, queued, due, attempts, finding) "
            "VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
        .Run(delivery.receiver, delivery.key, delivery.queued_us, delivery.due_us,
             delivery.attempts, Blob{delivery.finding});
  }
}

void FinishDeliveries(Database* database,
                      absl::Span<const DetectionStore::DeliveryOutcome> outcomes) {
  for (const DetectionStore::DeliveryOutcome& outcome : outcomes) {
    if (outcome.done) {
      database->Cached("DELETE FROM deliveries WHERE id = ?").Run(outcome.id);
    } else {
      database->Cached("UPDATE deliveries SET due = ?, attempts = attempts + 1 WHERE id = ?")
          .Run(outcome.due_us, outcome.id);
    }
  }
}

uint64_t BoundDeliveries(Database* database, const std::string& receiver, uint64_t most) {
  database
      ->Cached(
          "DELETE FROM deliveries WHERE receiver = ?1 AND id <= (SELECT id FROM deliveries WHERE "
          "receiver = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)")
      .Run(receiver, Signed(most));
  return static_cast<uint64_t>(database->ChangedRows());
}

void DropFindings(Database* database, int64_t oldest_us) {
  database
      ->Cached(
          "DELETE FROM finding_subjects WHERE finding IN (SELECT id FROM findings WHERE "
          "last_seen < ?)")
      .Run(oldest_us);
  database
      ->Cached(
          "DELETE FROM finding_details WHERE id IN (SELECT id FROM findings WHERE last_seen < ?)")
      .Run(oldest_us);
  database->Cached("DELETE FROM findings WHERE last_seen < ?").Run(oldest_us);
}

}  // namespace tokenwatch::sqlite
