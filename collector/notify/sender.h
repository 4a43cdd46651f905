// One try to tell one receiver.
#ifndef TOKENWATCH_COLLECTOR_NOTIFY_SENDER_H_
#define TOKENWATCH_COLLECTOR_NOTIFY_SENDER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/common/clock.h"
#include "collector/notify/notify_config.h"
#include "collector/store/detection_store.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

struct SendResult {
  enum class Kind : uint8_t {
    kDelivered,
    kTrouble,  // the receiver is not reached or is in trouble: any message would fare so
    kNotLet,   // the receiver wants no message at all: a wrong address or credential
    kRefused,  // the receiver does not want this message
    kStopped,  // Stop was called
  };
  Kind kind = Kind::kDelivered;
  std::string error;                          // one line, without secrets
  std::optional<absl::Duration> retry_after;  // as the receiver asks
};

// One thread sends; any may stop.
class Sender {
 public:
  // `clock` outlives it.
  static absl::StatusOr<std::unique_ptr<Sender>> Create(const ReceiverConfig& config,
                                                        const Clock* clock);
  virtual ~Sender() = default;

  virtual SendResult Send(const Delivery& delivery, const v1::Finding& finding) = 0;
  virtual void Stop() = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_NOTIFY_SENDER_H_
