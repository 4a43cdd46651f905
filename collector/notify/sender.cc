#include "collector/notify/sender.h"

#include <utility>

#include "collector/notify/http_sender.h"
#include "collector/notify/syslog_sender.h"

namespace tokenwatch {

absl::StatusOr<std::unique_ptr<Sender>> Sender::Create(const ReceiverConfig& config,
                                                       const Clock* clock) {
  absl::StatusOr<std::unique_ptr<CurlLoop>> loop = CurlLoop::Create();
  if (!loop.ok()) return loop.status();
  if (config.type == ReceiverType::kSyslog) {
    return std::make_unique<SyslogSender>(config, *std::move(loop));
  }
  return std::make_unique<HttpSender>(config, clock, *std::move(loop));
}

}  // namespace tokenwatch
