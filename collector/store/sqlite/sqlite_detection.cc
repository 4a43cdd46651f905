#include "collector/store/sqlite/sqlite_detection.h"

#include <array>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "collector/store/finding_filter.h"
#include "collector/store/finding_words.h"
#include "collector/store/sqlite/finding_queries.h"

namespace tokenwatch::sqlite {

absl::Status SqliteDetection::CommitDetection(const DetectionCommit& commit) {
  absl::MutexLock lock(&core_->writer_mutex());
  absl::Status status = core_->writer().CommitDetection(commit);
  core_->NoteDamage(status);
  return status;
}

absl::StatusOr<uint64_t> SqliteDetection::Judged() {
  return core_->Read<uint64_t>([](Session* session) {
    Statement& query = session->database->Cached("SELECT judged FROM detection WHERE id = 1");
    query.Start();
    return query.Next() ? static_cast<uint64_t>(query.Int(0)) : 0;
  });
}

absl::Status SqliteDetection::ForEachBaseline(
    const std::function<void(std::string_view name, std::string_view bytes)>& take) {
  return core_
      ->Read<bool>([&](Session* session) {
        Statement& query = session->database->Cached("SELECT name, bytes FROM baselines");
        query.Start();
        while (query.Next()) {
          const absl::string_view name = query.Bytes(0);
          const absl::string_view bytes = query.Bytes(1);
          take({name.data(), name.size()}, {bytes.data(), bytes.size()});
        }
        return true;
      })
      .status();
}

absl::StatusOr<std::vector<StoredFinding>> SqliteDetection::FindingsSince(int64_t last_seen_us) {
  return core_->Read<std::vector<StoredFinding>>(
      [&](Session* session) { return sqlite::FindingsSince(session, last_seen_us); });
}

absl::StatusOr<std::vector<CommittedUse>> SqliteDetection::UsesSince(uint64_t* number,
                                                                     size_t limit) {
  if (*number >= LastUse() || limit == 0) return std::vector<CommittedUse>();
  absl::MutexLock lock(&committed_mutex_);
  auto at = static_cast<int64_t>(*number);
  absl::StatusOr<std::vector<CommittedUse>> uses =
      core_->Read<std::vector<CommittedUse>>([&](Session* session) ABSL_NO_THREAD_SAFETY_ANALYSIS {
        return committed_.UsesSince(session, &at, limit);
      });
  if (!uses.ok()) {
    committed_.Forget();
  } else {
    *number = static_cast<uint64_t>(at);
  }
  return uses;
}

absl::Status SqliteDetection::ForEachFact(absl::Span<const std::string_view> names,
                                          const std::function<void(const TokenFactRow&)>& take) {
  absl::MutexLock lock(&committed_mutex_);
  absl::Status status = core_
                            ->Read<bool>([&](Session* session) ABSL_NO_THREAD_SAFETY_ANALYSIS {
                              committed_.ForEachFact(session, names, take);
                              return true;
                            })
                            .status();
  if (!status.ok()) committed_.Forget();
  return status;
}

absl::StatusOr<v1::ListFindingsResponse> SqliteDetection::ListFindings(
    const v1::ListRequest& request) {
  if (absl::Status status = CheckFindingFilters(request); !status.ok()) return status;
  return core_->List<v1::ListFindingsResponse>(
      ListKind::kFindings, request,
      [this](Session* session, const Filter& filter, const PagePosition* page) {
        return sqlite::ListFindings(session, filter, page, core_->NowMicros());
      });
}

absl::StatusOr<v1::Finding> SqliteDetection::GetFinding(const std::string& finding_id) {
  const absl::StatusOr<std::string> id = ReadFindingId(finding_id);
  if (!id.ok()) return id.status();
  absl::StatusOr<std::optional<v1::Finding>> finding = core_->Read<std::optional<v1::Finding>>(
      [&](Session* session) { return sqlite::GetFinding(session, *id, core_->NowMicros()); });
  if (!finding.ok()) return finding.status();
  if (!finding->has_value()) return NoSuchFinding(finding_id);
  return **std::move(finding);
}

absl::StatusOr<std::vector<std::pair<std::string, uint64_t>>> SqliteDetection::CountOpenFindings(
    const std::string& by) {
  using Counts = std::vector<std::pair<std::string, uint64_t>>;
  absl::StatusOr<std::optional<Counts>> counts = core_->Read<std::optional<Counts>>(
      [&](Session* session) { return sqlite::CountOpenFindings(session, by, core_->NowMicros()); });
  if (!counts.ok()) return counts.status();
  if (!counts->has_value()) return NoSuchCount(by);
  return **std::move(counts);
}

absl::StatusOr<std::vector<Delivery>> SqliteDetection::DueDeliveries(const std::string& receiver,
                                                                     int64_t now_us, size_t limit) {
  return core_->Read<std::vector<Delivery>>(
      [&](Session* session) { return sqlite::DueDeliveries(session, receiver, now_us, limit); });
}

absl::Status SqliteDetection::FinishDeliveries(absl::Span<const DeliveryOutcome> outcomes) {
  absl::MutexLock lock(&core_->writer_mutex());
  absl::Status status = core_->writer().FinishDeliveries(outcomes);
  core_->NoteDamage(status);
  return status;
}

absl::StatusOr<std::vector<DetectionStore::WaitingDeliveries>> SqliteDetection::Waiting() {
  return core_->Read<std::vector<WaitingDeliveries>>(
      [](Session* session) { return sqlite::WaitingDeliveries(session); });
}

absl::StatusOr<uint64_t> SqliteDetection::BoundDeliveries(const std::string& receiver,
                                                          uint64_t most) {
  absl::MutexLock lock(&core_->writer_mutex());
  absl::StatusOr<uint64_t> dropped = core_->writer().BoundDeliveries(receiver, most);
  core_->NoteDamage(dropped.status());
  return dropped;
}

}  // namespace tokenwatch::sqlite
