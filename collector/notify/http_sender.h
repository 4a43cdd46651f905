// Posts findings.
#ifndef TOKENWATCH_COLLECTOR_NOTIFY_HTTP_SENDER_H_
#define TOKENWATCH_COLLECTOR_NOTIFY_HTTP_SENDER_H_

#include <memory>
#include <string>
#include <string_view>

#include "collector/notify/curl_loop.h"
#include "collector/notify/sender.h"

namespace tokenwatch {

// 2xx is success; redirects are not followed. Certificates are verified. Proxies are those of the
// environment, as curl(1) has them. Of the answer the status counts, and 1 MiB at most is read.
class HttpSender : public Sender {
 public:
  HttpSender(ReceiverConfig config, const Clock* clock, std::unique_ptr<CurlLoop> loop);
  ~HttpSender() override;

  SendResult Send(const Delivery& delivery, const v1::Finding& finding) override;
  void Stop() override { loop_->Stop(); }

 private:
  std::string Body(const Delivery& delivery, const v1::Finding& finding) const;

  const ReceiverConfig config_;
  const Clock* const clock_;
  const std::unique_ptr<CurlLoop> loop_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_NOTIFY_HTTP_SENDER_H_
