#include "collector/notify/notifier.h"

#include <curl/curl.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "agent/common/config_file.h"
#include "agent/common/file_stamp.h"
#include "collector/json/json.h"
#include "collector/notify/notify_config.h"
#include "collector/notify/receiver_worker.h"

namespace tokenwatch {
namespace {

constexpr absl::Duration kLookForLeftOvers = absl::Hours(1);
constexpr size_t kLeftOvers = 256;

// libcurl's process-wide state; counted by libcurl itself.
struct CurlGlobal {
  CurlGlobal() { curl_global_init(CURL_GLOBAL_DEFAULT); }
  CurlGlobal(const CurlGlobal&) = delete;
  CurlGlobal& operator=(const CurlGlobal&) = delete;
  ~CurlGlobal() { curl_global_cleanup(); }
};

std::shared_ptr<const NotifyConfig> ReadFile(const std::string& file,
                                             std::vector<std::string>* problems) {
  const absl::StatusOr<std::string> text = ReadConfigFile(file);
  if (!text.ok()) {
    problems->emplace_back(text.status().message());
    return nullptr;
  }
  return NotifyConfig::Parse(*text, file, problems);
}

class StoredNotifier : public Notifier {
 public:
  StoredNotifier(std::string file, DetectionStore* store, const Clock* clock,
                 const NotifyPace& pace)
      : file_(std::move(file)),
        store_(store),
        clock_(clock),
        pace_(pace),
        config_(std::make_shared<const NotifyConfig>()) {}
  ~StoredNotifier() override {
    absl::MutexLock lock(&mutex_);
    for (const auto& [name, worker] : workers_) worker->Stop();
    workers_.clear();
  }

  std::vector<Delivery> Route(const v1::Finding& finding) const override;
  void Wake() override;
  bool Refresh(bool always) override;
  std::vector<v1::ReceiverStatus> Receivers() const override;
  std::vector<std::string> Problems() const override;
  void AddCounters(Counters* counters) const override;

 private:
  bool Read() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Use(std::shared_ptr<const NotifyConfig> config) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GiveUpLeftOvers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::map<std::string, uint64_t> Waiting() const;

  const CurlGlobal curl_;
  const std::string file_;
  DetectionStore* const store_;
  const Clock* const clock_;
  const NotifyPace pace_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const NotifyConfig> config_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> problems_ ABSL_GUARDED_BY(mutex_);
  FileStamp stamp_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::unique_ptr<ReceiverWorker>> workers_ ABSL_GUARDED_BY(mutex_);
  // Of receivers that are no more.
  uint64_t delivered_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t failed_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<uint64_t> looked_ns_ ABSL_GUARDED_BY(mutex_);  // for left-overs
};

std::vector<Delivery> StoredNotifier::Route(const v1::Finding& finding) const {
  std::shared_ptr<const NotifyConfig> config;
  {
    absl::MutexLock lock(&mutex_);
    config = config_;
  }
  std::vector<Delivery> deliveries;
  const std::vector<std::string> names = config->ReceiversOf(finding);
  if (names.empty()) return deliveries;
  // What is no UTF-8 could not be parsed again.
  v1::Finding valid = finding;
  MakeUtf8Valid(&valid);
  for (const std::string& name : names) {
    Delivery delivery;
    delivery.receiver = name;
    delivery.key = absl::StrCat(valid.finding_id(), ":", valid.revision());
    delivery.finding = valid.SerializeAsString();
    delivery.queued_us = absl::ToUnixMicros(clock_->Now());
    deliveries.push_back(std::move(delivery));  // due at once
  }
  return deliveries;
}

void StoredNotifier::Wake() {
  absl::MutexLock lock(&mutex_);
  for (const auto& [name, worker] : workers_) worker->Wake();
}

void StoredNotifier::Use(std::shared_ptr<const NotifyConfig> config) {
  std::map<std::string, std::unique_ptr<ReceiverWorker>> workers;
  for (const ReceiverConfig& receiver : config->receivers) {
    // Lives as long as the whole that it is in.
    std::shared_ptr<const ReceiverConfig> own(config, &receiver);
    std::unique_ptr<ReceiverWorker>& worker = workers[receiver.name];
    if (const auto found = workers_.find(receiver.name); found != workers_.end()) {
      worker = std::move(found->second);
      workers_.erase(found);
      worker->Configure(std::move(own), config->queue_max);
    } else {
      worker = std::make_unique<ReceiverWorker>(std::move(own), config->queue_max, store_, clock_,
                                                pace_);
    }
  }
  for (const auto& [name, worker] : workers_) worker->Stop();
  for (const auto& [name, worker] : workers_) {
    const ReceiverWorker::Status status = worker->status();
    delivered_ += status.delivered;
    failed_ += status.failed;
    dropped_ += status.dropped;
  }
  workers_ = std::move(workers);
  config_ = std::move(config);
  looked_ns_.reset();
}

bool StoredNotifier::Read() {
  stamp_ = FileStamp::Of(file_);
  std::vector<std::string> problems;
  if (std::shared_ptr<const NotifyConfig> config = ReadFile(file_, &problems)) {
    problems_.clear();
    Use(std::move(config));
    return true;
  }
  return std::exchange(problems_, problems) != problems;
}

bool StoredNotifier::Refresh(bool always) {
  absl::MutexLock lock(&mutex_);
  bool other = false;
  if (!file_.empty() && (always || FileStamp::Of(file_) != stamp_)) other = Read();
  GiveUpLeftOvers();
  return other;
}

void StoredNotifier::GiveUpLeftOvers() {
  const uint64_t now_ns = clock_->MonotonicNs();
  if (looked_ns_.has_value() &&
      absl::Nanoseconds(static_cast<int64_t>(now_ns - *looked_ns_)) < kLookForLeftOvers) {
    return;
  }
  looked_ns_ = now_ns;
  const auto waiting = store_->Waiting();
  if (!waiting.ok()) return;
  const int64_t until_us = absl::ToUnixMicros(clock_->Now() - pace_.give_up);
  for (const DetectionStore::WaitingDeliveries& each : *waiting) {
    if (workers_.contains(each.receiver)) continue;
    const auto oldest =
        store_->DueDeliveries(each.receiver, std::numeric_limits<int64_t>::max(), kLeftOvers);
    if (!oldest.ok()) continue;
    std::vector<DetectionStore::DeliveryOutcome> outcomes;
    for (const Delivery& delivery : *oldest) {
      if (delivery.queued_us <= until_us) outcomes.push_back({.id = delivery.id, .done = true});
    }
    if (!outcomes.empty() && store_->FinishDeliveries(outcomes).ok()) dropped_ += outcomes.size();
    // There may be more.
    if (outcomes.size() == kLeftOvers) looked_ns_.reset();
  }
}

std::map<std::string, uint64_t> StoredNotifier::Waiting() const {
  std::map<std::string, uint64_t> counts;
  const auto waiting = store_->Waiting();
  if (!waiting.ok()) return counts;
  for (const DetectionStore::WaitingDeliveries& each : *waiting) {
    counts[each.receiver] = each.count;
  }
  return counts;
}

std::vector<v1::ReceiverStatus> StoredNotifier::Receivers() const {
  std::map<std::string, uint64_t> waiting = Waiting();
  std::vector<v1::ReceiverStatus> receivers;
  absl::MutexLock lock(&mutex_);
  for (const ReceiverConfig& receiver : config_->receivers) {
    const ReceiverWorker::Status status = workers_.at(receiver.name)->status();
    v1::ReceiverStatus row;
    row.set_receiver(receiver.name);
    row.set_type(std::string(kReceiverTypes[static_cast<size_t>(receiver.type)]));
    row.set_delivered(status.delivered);
    row.set_failed(status.failed);
    row.set_waiting(waiting[receiver.name]);
    row.set_dropped(status.dropped);
    row.set_error(status.error);
    if (status.last_delivered != absl::InfinitePast()) {
      const int64_t ns = absl::ToUnixNanos(status.last_delivered);
      row.mutable_last_delivered()->set_seconds(ns / 1'000'000'000);
      row.mutable_last_delivered()->set_nanos(static_cast<int32_t>(ns % 1'000'000'000));
    }
    waiting.erase(receiver.name);
    receivers.push_back(std::move(row));
  }
  for (const auto& [name, count] : waiting) {
    if (count == 0) continue;
    v1::ReceiverStatus row;
    row.set_receiver(name);
    row.set_waiting(count);
    row.set_error("no receiver of this name; what waits for it is given up after 7 days");
    receivers.push_back(std::move(row));
  }
  return receivers;
}

std::vector<std::string> StoredNotifier::Problems() const {
  absl::MutexLock lock(&mutex_);
  return problems_;
}

void StoredNotifier::AddCounters(Counters* counters) const {
  uint64_t waiting = 0;
  for (const auto& [name, count] : Waiting()) waiting += count;
  absl::MutexLock lock(&mutex_);
  uint64_t delivered = delivered_, failed = failed_, dropped = dropped_;
  for (const auto& [name, worker] : workers_) {
    const ReceiverWorker::Status status = worker->status();
    delivered += status.delivered;
    failed += status.failed;
    dropped += status.dropped;
  }
  (*counters)["notify_delivered"] += delivered;
  (*counters)["notify_failures"] += failed;
  (*counters)["notify_dropped"] += dropped;
  (*counters)["notify_waiting"] += waiting;
}

absl::Status Refused(const std::vector<std::string>& problems) {
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
}

}  // namespace

absl::Status Notifier::Check(const std::string& file) {
  std::vector<std::string> problems;
  if (!file.empty()) ReadFile(file, &problems);
  return Refused(problems);
}

absl::StatusOr<std::unique_ptr<Notifier>> Notifier::Create(const std::string& file,
                                                           DetectionStore* store,
                                                           const Clock* clock,
                                                           const NotifyPace& pace) {
  auto notifier = std::make_unique<StoredNotifier>(file, store, clock, pace);
  notifier->Refresh(true);
  if (absl::Status status = Refused(notifier->Problems()); !status.ok()) return status;
  return notifier;
}

}  // namespace tokenwatch
