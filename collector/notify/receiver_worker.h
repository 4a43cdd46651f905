// Tells one receiver what waits for it.
#ifndef TOKENWATCH_COLLECTOR_NOTIFY_RECEIVER_WORKER_H_
#define TOKENWATCH_COLLECTOR_NOTIFY_RECEIVER_WORKER_H_

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/random/random.h"
#include "absl/time/time.h"
#include "agent/common/clock.h"
#include "collector/notify/notify_config.h"
#include "collector/notify/pace.h"
#include "collector/notify/sender.h"
#include "collector/store/detection_store.h"

namespace tokenwatch {

// A thread of its own, from the construction on. The oldest message goes first. A receiver in
// trouble is left alone for a while and then told the same message; one that has failed three times
// waits longer by itself, so that what is behind it goes on. What was sent is noted in the store at
// least every 100 ms: a collector that is killed sends no more than that again, under the same
// keys.
//
// Public functions: any thread.
class ReceiverWorker {
 public:
  struct Status {
    uint64_t delivered = 0, failed = 0, dropped = 0;
    std::string error;  // of the last try, where it failed
    absl::Time last_delivered = absl::InfinitePast();
  };

  // `store` and `clock` outlive it.
  ReceiverWorker(std::shared_ptr<const ReceiverConfig> config, uint64_t queue_max,
                 DetectionStore* store, const Clock* clock, const NotifyPace& pace);
  ReceiverWorker(const ReceiverWorker&) = delete;
  ReceiverWorker& operator=(const ReceiverWorker&) = delete;
  ~ReceiverWorker();  // stops, within milliseconds of what the store needs

  // Something waits.
  void Wake();
  // From the next message on; one of another content ends a pause. The name stays.
  void Configure(std::shared_ptr<const ReceiverConfig> config, uint64_t queue_max);
  // Begins to stop; the destructor waits for it.
  void Stop();

  Status status() const;

 private:
  using Outcome = DetectionStore::DeliveryOutcome;

  void Run();
  // Takes the configuration in force. False where it cannot be used now.
  bool Prepare();
  void DeliverAll(const std::vector<Delivery>& due);
  void Deliver(const Delivery& delivery);
  Outcome AfterFailure(const Delivery& delivery, const SendResult& result);
  void Bound();
  // Tells the store what became of messages. False where it does not take it: then nothing may be
  // sent, or it would be sent again and again.
  bool Record();
  void Note(const std::string& error);
  // Until then, or, where `wakeable`, until something waits; at once where stopping or configured.
  void Sleep(absl::Duration most, bool wakeable);
  absl::Duration UntilNextDue();
  // Wall time that does not step back: a clock that is set back must not hold up what is due.
  absl::Time Now();
  // The earlier of the wall time and what it was when this began and as much as has passed: nothing
  // is given up because a clock was set ahead.
  absl::Time SureNow() const;
  bool stopping() const;

  const std::string name_;
  DetectionStore* const store_;
  const Clock* const clock_;
  const NotifyPace pace_;

  // Of the standard library: its waits are by the monotonic clock, Abseil's by the wall clock,
  // which may be set back. The mutex guards what is up to status_.
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  bool woken_ = false;
  std::shared_ptr<const ReceiverConfig> next_;  // null: as before
  uint64_t queue_max_;
  std::shared_ptr<Sender> sender_;  // made and used by the thread
  const absl::Time started_;
  const uint64_t started_monotonic_ns_;
  Status status_;

  // Of the thread.
  std::shared_ptr<const ReceiverConfig> config_;
  absl::BitGen random_;
  uint64_t failures_ = 0;  // since the last success
  absl::Time resume_ = absl::InfinitePast();
  absl::Time bounded_ = absl::InfinitePast();
  std::vector<Outcome> outcomes_;
  absl::Time recorded_ = absl::InfinitePast();
  absl::Time last_now_ = absl::InfinitePast();
  uint64_t last_monotonic_ns_ = 0;

  std::thread thread_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_NOTIFY_RECEIVER_WORKER_H_
