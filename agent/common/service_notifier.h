// Tells systemd how the service is: readiness, a sentence for `systemctl status`, the watchdog
// (sd_notify(3)). Silent where no service manager asked for it.
#ifndef TOKENWATCH_AGENT_COMMON_SERVICE_NOTIFIER_H_
#define TOKENWATCH_AGENT_COMMON_SERVICE_NOTIFIER_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace tokenwatch {

// Not thread safe. To be used by the service's main process only: the units say NotifyAccess=main.
class ServiceNotifier {
 public:
  // Sends one message in sd_notify's format.
  using Send = std::function<void(const std::string& message)>;

  // For the manager that the environment names (NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID).
  ServiceNotifier();
  // For tests. watchdog_us: after how long without Alive the service is restarted; 0: never.
  ServiceNotifier(Send send, uint64_t watchdog_us);

  // The service does its work from now on; dependants start. Only the first call says so.
  void Ready();

  // One sentence without a newline; sent where it differs from the last.
  void Status(std::string_view sentence);

  // The loop that does the work came round, at this monotonic time; call it there, and nowhere
  // else. Sent four times in the time that the watchdog allows, so that one late round is no death.
  void Alive(uint64_t now_ns);

  // The service ends by itself or as it was told.
  void Stopping();

  // Another process is the service from now on, READY already; this one may end.
  void HandOver(pid_t successor);

 private:
  Send send_;
  uint64_t interval_ns_;  // 0: no watchdog
  uint64_t next_alive_ns_ = 0;
  bool ready_ = false;
  std::string status_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_SERVICE_NOTIFIER_H_
