// Answers "what is this secret's id?" on a Unix socket that only root can open, so that an
// incident's token can be looked up without the fleet key leaving the agent.
#ifndef TOKENWATCH_AGENT_STATUS_FINGERPRINT_SERVICE_H_
#define TOKENWATCH_AGENT_STATUS_FINGERPRINT_SERVICE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "agent/common/clock.h"
#include "agent/common/counters.h"
#include "agent/common/http_server.h"
#include "agent/token/secret/fingerprint.h"

namespace tokenwatch {

// `POST /v1/fingerprint` with the secret as body answers
// `{"ids":[{"keyId":"key_...","tokenId":"tok_..."}]}`, one a key. Each answer is logged with the
// id, so that looking tokens up leaves a trace; more than kPerMinute in a minute are refused with
// 429.
class FingerprintService {
 public:
  static constexpr int kPerMinute = 60;

  // `path` is absolute. The socket of a service, which may be bound with rights that the service
  // does without.
  static absl::StatusOr<Listener> Listen(const std::string& path);

  // `clock` must outlive the service.
  static absl::StatusOr<std::unique_ptr<FingerprintService>> Start(
      Listener listener, std::unique_ptr<Fingerprinter> fingerprinter, const Clock* clock);

  void AddCounters(Counters* counters) const;  // any thread

 private:
  FingerprintService(std::unique_ptr<Fingerprinter> fingerprinter, const Clock* clock)
      : clock_(clock), fingerprinter_(std::move(fingerprinter)) {}
  HttpResponse Answer(const HttpRequest& request);
  bool IsAllowed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock* clock_;
  mutable absl::Mutex mutex_;
  std::unique_ptr<Fingerprinter> fingerprinter_ ABSL_GUARDED_BY(mutex_);
  int64_t minute_ ABSL_GUARDED_BY(mutex_) = 0;
  int asked_ ABSL_GUARDED_BY(mutex_) = 0;  // in that minute
  uint64_t answered_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t refused_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<HttpServer> server_;  // last: its threads use the rest
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_STATUS_FINGERPRINT_SERVICE_H_
