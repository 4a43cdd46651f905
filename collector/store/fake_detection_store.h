// What detection and delivery keep, in memory, for tests of what stands in front of it.
#ifndef TOKENWATCH_COLLECTOR_STORE_FAKE_DETECTION_STORE_H_
#define TOKENWATCH_COLLECTOR_STORE_FAKE_DETECTION_STORE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "collector/store/detection_store.h"

namespace tokenwatch {

// Keeps to the contract, but for ids that are joined: each is a token of its own. Thread safe.
class FakeDetectionStore : public DetectionStore {
 public:
  // By this clock findings are closed.
  explicit FakeDetectionStore(std::function<absl::Time()> now = absl::Now) : now_(std::move(now)) {}

  // Numbers the uses, and adds them to those that UsesSince gives.
  void AddUses(std::vector<CommittedUse>* uses);
  void AddFacts(absl::Span<const TokenFactRow> facts);
  // From now on what every writing function returns without doing anything; OK: they work again.
  void FailWith(absl::Status status);

  std::vector<StoredFinding> findings() const;
  std::map<std::string, std::string> baselines() const;
  std::vector<Delivery> deliveries() const;  // that wait, the oldest first
  size_t commits() const;                    // of CommitDetection that succeeded

  absl::Status CommitDetection(const DetectionCommit& commit) override;
  absl::StatusOr<uint64_t> Judged() override;
  absl::Status ForEachBaseline(
      const std::function<void(std::string_view name, std::string_view bytes)>& take) override;
  absl::StatusOr<std::vector<StoredFinding>> FindingsSince(int64_t last_seen_us) override;
  absl::StatusOr<std::vector<CommittedUse>> UsesSince(uint64_t* number, size_t limit) override;
  uint64_t LastUse() const override;
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
  struct Kept {
    StoredFinding stored;
    int64_t row = 0;
  };
  // {token ids, name, value}
  using FactKey =
      std::tuple<std::vector<std::pair<std::string, std::string>>, std::string, std::string>;

  v1::Finding AsOfNow(const v1::Finding& finding) const;
  void AddFactsLocked(absl::Span<const TokenFactRow> facts) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::function<absl::Time()> now_;
  mutable absl::Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Kept> findings_ ABSL_GUARDED_BY(mutex_);  // by 16 bytes
  std::map<std::string, std::string> baselines_ ABSL_GUARDED_BY(mutex_);
  std::map<int64_t, Delivery> deliveries_ ABSL_GUARDED_BY(mutex_);
  std::map<FactKey, TokenFactRow> facts_ ABSL_GUARDED_BY(mutex_);
  std::vector<CommittedUse> uses_ ABSL_GUARDED_BY(mutex_);  // [i]: number i + 1
  uint64_t judged_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t next_row_ ABSL_GUARDED_BY(mutex_) = 1;
  int64_t next_delivery_ ABSL_GUARDED_BY(mutex_) = 1;
  size_t commits_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_FAKE_DETECTION_STORE_H_
