#include "agent/common/service_notifier.h"

#include <systemd/sd-daemon.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

uint64_t WatchdogUs() {
  uint64_t us = 0;
  return sd_watchdog_enabled(0, &us) > 0 ? us : 0;
}

}  // namespace

ServiceNotifier::ServiceNotifier()
    : ServiceNotifier([](const std::string& message) { sd_notify(0, message.c_str()); },
                      WatchdogUs()) {}

ServiceNotifier::ServiceNotifier(Send send, uint64_t watchdog_us)
    : send_(std::move(send)), interval_ns_(watchdog_us * 1000 / 4) {}

void ServiceNotifier::Ready() {
  if (std::exchange(ready_, true)) return;
  send_("READY=1");
}

void ServiceNotifier::Status(std::string_view sentence) {
  if (sentence == status_) return;
  status_ = std::string(sentence);
  send_(absl::StrCat("STATUS=", status_));
}

void ServiceNotifier::Alive(uint64_t now_ns) {
  if (interval_ns_ == 0 || now_ns < next_alive_ns_) return;
  next_alive_ns_ = now_ns + interval_ns_;
  send_("WATCHDOG=1");
}

void ServiceNotifier::Stopping() { send_("STOPPING=1"); }

void ServiceNotifier::HandOver(pid_t successor) {
  send_(absl::StrCat("READY=1\nMAINPID=", successor));
}

}  // namespace tokenwatch
