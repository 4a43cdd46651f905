// Detection and delivery as one part of the collector: what is committed goes in, findings reach
// the store and the receivers.
#ifndef TOKENWATCH_COLLECTOR_DETECTION_H_
#define TOKENWATCH_COLLECTOR_DETECTION_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/common/clock.h"
#include "agent/common/counters.h"
#include "collector/detect/country_database.h"
#include "collector/detect/judge.h"
#include "collector/notify/notifier.h"
#include "collector/policy/policy.h"
#include "collector/store/store.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

class Detection {
 public:
  struct Options {
    std::string notify_file;       // empty: no receivers
    std::string country_database;  // empty: countries are not known
    std::function<bool(const std::string& agent)> is_connected;
  };

  // Whether the files could be used. InvalidArgument names the flag.
  static absl::Status Check(const Options& options);

  // Observes `store`, which outlives it, as does `clock`; before the first commit. Errors as
  // Check's and the store's.
  static absl::StatusOr<std::unique_ptr<Detection>> Start(Store* store, const Clock* clock,
                                                          std::shared_ptr<const Policy> policy,
                                                          Options options);
  // Judges what was committed, and ends; what waits to be delivered waits on. After the last
  // commit.
  ~Detection();

  void SetPolicy(std::shared_ptr<const Policy> policy);
  // Reads the receivers again where their file has changed, or anyway. To be called each second.
  void Refresh(bool always);

  void AddStatus(v1::PolicyStatus* status) const;
  void AddCounters(Counters* counters) const;

 private:
  Detection(Store* store, Options options) : store_(store), options_(std::move(options)) {}

  Store* const store_;
  const Options options_;
  std::unique_ptr<CountryDatabase> countries_;  // may be null
  std::unique_ptr<Notifier> notifier_;
  std::unique_ptr<Judge> judge_;  // uses the rest
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECTION_H_
