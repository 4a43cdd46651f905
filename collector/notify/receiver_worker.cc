#include "collector/notify/receiver_worker.h"

#include <algorithm>
#include <utility>

#include "agent/common/log.h"

namespace tokenwatch {
namespace {

constexpr size_t kBatch = 32;
constexpr uint32_t kTriesInOrder = 3;
constexpr absl::Duration kRecordEvery = absl::Milliseconds(100);
constexpr absl::Duration kBoundEvery = absl::Seconds(1);
constexpr absl::Duration kLongestSleep = absl::Minutes(1);
constexpr absl::Duration kStoreRetry = absl::Seconds(1);

using Kind = SendResult::Kind;

}  // namespace

ReceiverWorker::ReceiverWorker(std::shared_ptr<const ReceiverConfig> config, uint64_t queue_max,
                               DetectionStore* store, const Clock* clock, const NotifyPace& pace)
    : name_(config->name),
      store_(store),
      clock_(clock),
      pace_(pace),
      next_(std::move(config)),
      queue_max_(queue_max),
      started_(clock->Now()),
      started_monotonic_ns_(clock->MonotonicNs()) {
  thread_ = std::thread([this] { Run(); });
}

ReceiverWorker::~ReceiverWorker() {
  Stop();
  thread_.join();
}

void ReceiverWorker::Stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  if (sender_ != nullptr) sender_->Stop();
  changed_.notify_all();
}

void ReceiverWorker::Wake() {
  const std::lock_guard lock(mutex_);
  woken_ = true;
  changed_.notify_all();
}

void ReceiverWorker::Configure(std::shared_ptr<const ReceiverConfig> config, uint64_t queue_max) {
  const std::lock_guard lock(mutex_);
  next_ = std::move(config);
  queue_max_ = queue_max;
  changed_.notify_all();
}

ReceiverWorker::Status ReceiverWorker::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

bool ReceiverWorker::stopping() const {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

absl::Time ReceiverWorker::Now() {
  const absl::Time wall = clock_->Now();
  const uint64_t monotonic_ns = clock_->MonotonicNs();
  if (last_now_ != absl::InfinitePast()) {
    const auto passed = absl::Nanoseconds(static_cast<int64_t>(monotonic_ns - last_monotonic_ns_));
    last_now_ = std::max(wall, last_now_ + passed);
  } else {
    last_now_ = wall;
  }
  last_monotonic_ns_ = monotonic_ns;
  return last_now_;
}

absl::Time ReceiverWorker::SureNow() const {
  const auto running =
      absl::Nanoseconds(static_cast<int64_t>(clock_->MonotonicNs() - started_monotonic_ns_));
  return std::min(clock_->Now(), started_ + running);
}

void ReceiverWorker::Note(const std::string& error) {
  const std::lock_guard lock(mutex_);
  status_.error = error;
}

void ReceiverWorker::Sleep(absl::Duration most, bool wakeable) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, absl::ToChronoMicroseconds(std::min(most, kLongestSleep)),
                    [&] { return stopping_ || next_ != nullptr || (wakeable && woken_); });
  if (wakeable) woken_ = false;
}

bool ReceiverWorker::Prepare() {
  std::shared_ptr<const ReceiverConfig> next;
  {
    const std::lock_guard lock(mutex_);
    next = std::exchange(next_, nullptr);
    if (next == nullptr) return sender_ != nullptr;
  }
  if (config_ != nullptr && *config_ == *next) return true;
  absl::StatusOr<std::unique_ptr<Sender>> made = Sender::Create(*next, clock_);
  config_ = std::move(next);
  resume_ = absl::InfinitePast();
  failures_ = 0;
  const std::lock_guard lock(mutex_);
  if (!made.ok()) {
    config_ = nullptr;
    sender_ = nullptr;
    status_.error = std::string(made.status().message());
    return false;
  }
  sender_ = *std::move(made);
  if (stopping_) sender_->Stop();
  return true;
}

void ReceiverWorker::Run() {
  while (!stopping()) {
    if (!Prepare() || !Record()) {
      Sleep(kStoreRetry, false);
      continue;
    }
    if (const absl::Time now = Now(); now < resume_) {
      Sleep(resume_ - now, false);
      continue;
    }
    Bound();
    const absl::StatusOr<std::vector<Delivery>> due =
        store_->DueDeliveries(name_, absl::ToUnixMicros(Now()), kBatch);
    if (!due.ok()) {
      Note("what waits cannot be read from the store");
      Sleep(kStoreRetry, false);
    } else if (due->empty()) {
      Sleep(UntilNextDue(), true);
    } else {
      DeliverAll(*due);
    }
  }
  Record();
}

absl::Duration ReceiverWorker::UntilNextDue() {
  const absl::StatusOr<std::vector<DetectionStore::WaitingDeliveries>> waiting = store_->Waiting();
  if (!waiting.ok()) return kStoreRetry;
  for (const DetectionStore::WaitingDeliveries& each : *waiting) {
    if (each.receiver != name_) continue;
    const absl::Time due = absl::FromUnixMicros(each.next_due_us);
    const absl::Duration left = due - Now();
    // No wait is as long: it was noted before the clock was set back.
    if (left > pace_.longest + absl::Minutes(1)) {
      last_now_ = due;
      return absl::ZeroDuration();
    }
    return std::max(left, absl::Milliseconds(1));
  }
  return kLongestSleep;
}

void ReceiverWorker::Bound() {
  const absl::Time now = Now();
  if (now - bounded_ < kBoundEvery) return;
  bounded_ = now;
  uint64_t most = 0;
  {
    const std::lock_guard lock(mutex_);
    most = queue_max_;
  }
  const absl::StatusOr<uint64_t> dropped = store_->BoundDeliveries(name_, most);
  if (!dropped.ok() || *dropped == 0) return;
  const std::lock_guard lock(mutex_);
  status_.dropped += *dropped;
}

void ReceiverWorker::DeliverAll(const std::vector<Delivery>& due) {
  for (const Delivery& delivery : due) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_ || next_ != nullptr) return;
    }
    if (Now() < resume_) return;
    Deliver(delivery);
    if (Now() - recorded_ >= kRecordEvery && !Record()) return;
  }
  Record();
}

void ReceiverWorker::Deliver(const Delivery& delivery) {
  const absl::Duration age = SureNow() - absl::FromUnixMicros(delivery.queued_us);
  v1::Finding finding;
  if (!finding.ParseFromString(delivery.finding) ||
      (delivery.attempts > 0 && age >= pace_.give_up)) {
    outcomes_.push_back({.id = delivery.id, .done = true});
    const std::lock_guard lock(mutex_);
    ++status_.dropped;
    return;
  }
  std::shared_ptr<Sender> sender;
  {
    const std::lock_guard lock(mutex_);
    sender = sender_;
  }
  const SendResult result = sender->Send(delivery, finding);
  if (result.kind == Kind::kStopped) return;
  if (result.kind != Kind::kDelivered) {
    outcomes_.push_back(AfterFailure(delivery, result));
    return;
  }
  outcomes_.push_back({.id = delivery.id, .done = true});
  if (failures_ > 0) Log(LogLevel::kInfo, "receiver ", name_, " takes findings again");
  failures_ = 0;
  const std::lock_guard lock(mutex_);
  ++status_.delivered;
  status_.error.clear();
  status_.last_delivered = clock_->Now();
}

ReceiverWorker::Outcome ReceiverWorker::AfterFailure(const Delivery& delivery,
                                                     const SendResult& result) {
  if (++failures_ == 1) {
    Log(LogLevel::kWarning, "receiver ", name_, " (", config_->where,
        ") did not take a finding, which is tried again: ", result.error);
  }
  {
    const std::lock_guard lock(mutex_);
    ++status_.failed;
    status_.error = result.error;
  }
  const auto back_off = [this](absl::Duration first, absl::Duration most, uint64_t n) {
    return BackOff(first, most, n, absl::Uniform(random_, 0.0, 1.0));
  };
  const bool trouble = result.kind == Kind::kTrouble;
  const absl::Duration first = trouble ? pace_.pause : pace_.refused;
  const absl::Duration own = back_off(first, pace_.longest, delivery.attempts + 1);
  const absl::Time now = Now();
  absl::Duration pause = absl::ZeroDuration();
  if (result.kind != Kind::kRefused) {
    pause = back_off(first, trouble ? pace_.longest_pause : pace_.longest, failures_);
  } else if (failures_ > kTriesInOrder) {
    // Not this message, nor those before it.
    pause = back_off(pace_.pause, pace_.longest_pause, failures_ - kTriesInOrder);
  }
  if (result.retry_after.has_value()) {
    pause = std::max(std::min(*result.retry_after, pace_.longest), pause);
  }
  resume_ = now + pause;
  absl::Time due = now + std::max(own, pause);
  if (result.kind != Kind::kRefused && delivery.attempts + 1 < kTriesInOrder) due = resume_;
  return {.id = delivery.id, .done = false, .due_us = absl::ToUnixMicros(due)};
}

bool ReceiverWorker::Record() {
  recorded_ = Now();
  if (outcomes_.empty()) return true;
  if (!store_->FinishDeliveries(outcomes_).ok()) {
    Note("what was sent cannot be noted in the store");
    return false;
  }
  outcomes_.clear();
  return true;
}

}  // namespace tokenwatch
