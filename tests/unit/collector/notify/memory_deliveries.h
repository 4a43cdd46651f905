// The part of DetectionStore that delivery uses, in memory.
#ifndef TOKENWATCH_TESTS_UNIT_COLLECTOR_NOTIFY_MEMORY_DELIVERIES_H_
#define TOKENWATCH_TESTS_UNIT_COLLECTOR_NOTIFY_MEMORY_DELIVERIES_H_

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "collector/store/detection_store.h"

namespace tokenwatch {

class MemoryDeliveries : public DetectionStore {
 public:
  void Add(std::vector<Delivery> deliveries) {
    absl::MutexLock lock(&mutex_);
    for (Delivery& delivery : deliveries) {
      delivery.id = ++last_id_;
      deliveries_[delivery.id] = std::move(delivery);
    }
  }
  std::vector<Delivery> deliveries() const {
    absl::MutexLock lock(&mutex_);
    std::vector<Delivery> all;
    for (const auto& [id, delivery] : deliveries_) all.push_back(delivery);
    return all;
  }
  // What FinishDeliveries returns without doing anything.
  void FailWith(absl::Status status) {
    absl::MutexLock lock(&mutex_);
    failure_ = std::move(status);
  }

  absl::Status CommitDetection(const DetectionCommit& commit) override {
    Add(commit.deliveries);
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<Delivery>> DueDeliveries(const std::string& receiver, int64_t now_us,
                                                      size_t limit) override {
    absl::MutexLock lock(&mutex_);
    std::vector<Delivery> due;
    for (const auto& [id, delivery] : deliveries_) {
      if (delivery.receiver == receiver && delivery.due_us <= now_us && due.size() < limit) {
        due.push_back(delivery);
      }
    }
    return due;
  }
  absl::Status FinishDeliveries(absl::Span<const DeliveryOutcome> outcomes) override {
    absl::MutexLock lock(&mutex_);
    if (!failure_.ok()) return failure_;
    for (const DeliveryOutcome& outcome : outcomes) {
      if (outcome.done) {
        deliveries_.erase(outcome.id);
      } else if (const auto found = deliveries_.find(outcome.id); found != deliveries_.end()) {
        found->second.due_us = outcome.due_us;
        ++found->second.attempts;
      }
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<WaitingDeliveries>> Waiting() override {
    absl::MutexLock lock(&mutex_);
    std::map<std::string, WaitingDeliveries> waiting;
    for (const auto& [id, delivery] : deliveries_) {
      WaitingDeliveries& of = waiting[delivery.receiver];
      of.next_due_us = of.count == 0 ? delivery.due_us : std::min(of.next_due_us, delivery.due_us);
      of.receiver = delivery.receiver;
      ++of.count;
    }
    std::vector<WaitingDeliveries> all;
    for (auto& [receiver, of] : waiting) all.push_back(std::move(of));
    return all;
  }
  absl::StatusOr<uint64_t> BoundDeliveries(const std::string& receiver, uint64_t most) override {
    absl::MutexLock lock(&mutex_);
    std::vector<int64_t> ids;
    for (const auto& [id, delivery] : deliveries_) {
      if (delivery.receiver == receiver) ids.push_back(id);
    }
    const size_t dropped = ids.size() > most ? ids.size() - most : 0;
    for (size_t i = 0; i < dropped; ++i) deliveries_.erase(ids[i]);
    return dropped;
  }

  // Nothing of the rest is asked for.
  absl::StatusOr<uint64_t> Judged() override { return 0; }
  absl::Status ForEachBaseline(
      const std::function<void(std::string_view, std::string_view)>& /*take*/) override {
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<StoredFinding>> FindingsSince(int64_t /*last_seen_us*/) override {
    return std::vector<StoredFinding>();
  }
  absl::StatusOr<std::vector<CommittedUse>> UsesSince(uint64_t* /*number*/,
                                                      size_t /*limit*/) override {
    return std::vector<CommittedUse>();
  }
  uint64_t LastUse() const override { return 0; }
  absl::Status ForEachFact(absl::Span<const std::string_view> /*names*/,
                           const std::function<void(const TokenFactRow&)>& /*take*/) override {
    return absl::OkStatus();
  }
  absl::StatusOr<v1::ListFindingsResponse> ListFindings(
      const v1::ListRequest& /*request*/) override {
    return v1::ListFindingsResponse();
  }
  absl::StatusOr<v1::Finding> GetFinding(const std::string& /*finding_id*/) override {
    return absl::NotFoundError("none");
  }
  absl::StatusOr<std::vector<std::pair<std::string, uint64_t>>> CountOpenFindings(
      const std::string& /*by*/) override {
    return std::vector<std::pair<std::string, uint64_t>>();
  }

 private:
  mutable absl::Mutex mutex_;
  std::map<int64_t, Delivery> deliveries_;
  int64_t last_id_ = 0;
  absl::Status failure_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_COLLECTOR_NOTIFY_MEMORY_DELIVERIES_H_
