// Sends findings to a syslog server.
#ifndef TOKENWATCH_COLLECTOR_NOTIFY_SYSLOG_SENDER_H_
#define TOKENWATCH_COLLECTOR_NOTIFY_SYSLOG_SENDER_H_

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "agent/common/curl_handles.h"
#include "collector/notify/curl_loop.h"
#include "collector/notify/sender.h"

namespace tokenwatch {

// Syslog has no answers. Over TCP and TLS (RFC 6587 with octet counting, RFC 5425) a message is
// delivered once the receiver's kernel has acknowledged all of its bytes; one that dies before it
// reads them has lost them. Over a Unix socket the message is in the receiver's queue. Over UDP it
// is sent, and whether it came is unknown; the host's name is resolved when it is first needed,
// after a failure, and every minute, since nothing tells that it has moved.
class SyslogSender : public Sender {
 public:
  SyslogSender(ReceiverConfig config, std::unique_ptr<CurlLoop> loop);
  ~SyslogSender() override;

  SendResult Send(const Delivery& delivery, const v1::Finding& finding) override;
  void Stop() override { loop_->Stop(); }

 private:
  absl::Status SendOnStream(std::string_view bytes);
  absl::Status SendDatagram(std::string_view bytes);
  absl::Status Connect();
  void Disconnect();
  // Whether the other side has closed, or broken, the connection.
  bool IsGone();
  // Until then at most, by a clock that nobody sets.
  using Steady = std::chrono::steady_clock;
  absl::Status AwaitAcknowledged(Steady::time_point until);
  absl::Status ConnectDatagram(Steady::time_point until);
  // Resolves what HOST:PORT names, on a thread that is left behind where that takes longer.
  absl::Status Resolve(Steady::time_point until);

  const ReceiverConfig config_;
  const std::string hostname_;
  const std::unique_ptr<CurlLoop> loop_;
  CurlHandle connection_;  // of a stream, held by `loop_`; null: none
  int socket_ = -1;        // of `connection_`, or of datagrams, which is ours
  struct Resolution;
  std::shared_ptr<Resolution> resolution_;  // under way or done; null: to be begun
  Steady::time_point connected_;            // of datagrams
  size_t failures_ = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_NOTIFY_SYSLOG_SENDER_H_
