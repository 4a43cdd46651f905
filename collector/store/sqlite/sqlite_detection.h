// Detection's half of the store, in the same file and under the same lock.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_SQLITE_DETECTION_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_SQLITE_DETECTION_H_

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "collector/store/detection_store.h"
#include "collector/store/sqlite/committed_reader.h"
#include "collector/store/sqlite/store_core.h"

namespace tokenwatch::sqlite {

class SqliteDetection final : public DetectionStore {
 public:
  // Borrows `core`.
  explicit SqliteDetection(StoreCore* core) : core_(core) {}

  absl::Status CommitDetection(const DetectionCommit& commit) override;
  absl::StatusOr<uint64_t> Judged() override;
  absl::Status ForEachBaseline(
      const std::function<void(std::string_view name, std::string_view bytes)>& take) override;
  absl::StatusOr<std::vector<StoredFinding>> FindingsSince(int64_t last_seen_us) override;
  absl::StatusOr<std::vector<CommittedUse>> UsesSince(uint64_t* number, size_t limit) override;
  uint64_t LastUse() const override { return static_cast<uint64_t>(core_->last_use()); }
  absl::Status ForEachFact(absl::Span<const std::string_view> names,
                           const std::function<void(const TokenFactRow&)>& take) override;
  absl::StatusOr<v1::ListFindingsResponse> ListFindings(const v1::ListRequest& request) override;
  absl::StatusOr<v1::Finding> GetFinding(const std::string& finding_id) override;
  absl::StatusOr<std::vector<std::pair<std::string, uint64_t>>> CountOpenFindings(
      const std::string& by) override;
  absl::StatusOr<std::vector<Delivery>> DueDeliveries(const std::string& receiver, int64_t now_us,
                                                      size_t limit) override;
  absl::Status FinishDeliveries(absl::Span<const DeliveryOutcome> outcomes) override;
  absl::StatusOr<std::vector<WaitingDeliveries>> Waiting() override;
  absl::StatusOr<uint64_t> BoundDeliveries(const std::string& receiver, uint64_t most) override;

 private:
  StoreCore* const core_;
  absl::Mutex committed_mutex_;  // held over a whole question
  CommittedReader committed_ ABSL_GUARDED_BY(committed_mutex_);
};

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_SQLITE_DETECTION_H_
