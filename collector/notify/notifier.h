// Delivers findings to the receivers that the user named: at least once, always with the same key.
#ifndef TOKENWATCH_COLLECTOR_NOTIFY_NOTIFIER_H_
#define TOKENWATCH_COLLECTOR_NOTIFY_NOTIFIER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/common/clock.h"
#include "agent/common/counters.h"
#include "collector/notify/pace.h"
#include "collector/store/detection_store.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

// Thread safe. One thread a receiver delivers what waits in the store, so that one that hangs holds
// up no other.
class Notifier {
 public:
  // `file` names the receivers and routes; empty: there are none. InvalidArgument with all of its
  // problems, each "file:line: what". `store` and `clock` outlive this.
  static absl::StatusOr<std::unique_ptr<Notifier>> Create(const std::string& file,
                                                          DetectionStore* store, const Clock* clock,
                                                          const NotifyPace& pace = {});
  // Whether the file could be used, without using it: as Create.
  static absl::Status Check(const std::string& file);
  virtual ~Notifier() = default;  // stops; what waits stays in the store

  // What is to be delivered of a finding that is new, or told again with another revision, under
  // the routes in force: to be committed together with the finding. Its key is "ID:REVISION".
  virtual std::vector<Delivery> Route(const v1::Finding& finding) const = 0;
  // Deliveries were committed.
  virtual void Wake() = 0;
  // As PolicyHolder::Refresh: a file with a problem changes nothing but what Problems tells. To be
  // called every few seconds: it also gives up what waits for receivers that are no more.
  virtual bool Refresh(bool always) = 0;

  // In the order of the file, then those that only deliveries are left of.
  virtual std::vector<v1::ReceiverStatus> Receivers() const = 0;
  virtual std::vector<std::string> Problems() const = 0;
  // notify_delivered, notify_failures and notify_dropped since the start, notify_waiting as of now.
  virtual void AddCounters(Counters* counters) const = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_NOTIFY_NOTIFIER_H_
