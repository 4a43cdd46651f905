// Looks after what changes while the collector runs: revocations and the server's certificate.
#ifndef TOKENWATCH_COLLECTOR_ENROL_GATE_WATCH_H_
#define TOKENWATCH_COLLECTOR_ENROL_GATE_WATCH_H_

#include <functional>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/common/steady_cond_var.h"
#include "collector/enrol/gatekeeper.h"

namespace tokenwatch {

// Owns a thread. What fails is logged once, and tried again; that it is over, too.
class GateWatch {
 public:
  struct Options {
    absl::Duration registry_interval = absl::Milliseconds(500);
    absl::Duration certificate_interval = absl::Minutes(1);
  };

  // All outlive this. `on_registry` is called after each look at the list of agents, which others
  // may have read on, too; `on_certificate` with the server's key and certificate (PEM) after each
  // look at these; both on the thread.
  GateWatch(Gatekeeper* gatekeeper, const Options& options, std::function<void()> on_registry,
            std::function<void(std::string_view pem)> on_certificate);
  ~GateWatch();
  GateWatch(const GateWatch&) = delete;
  GateWatch& operator=(const GateWatch&) = delete;

 private:
  void Run();
  void LookAtRegistry();
  void LookAtCertificate();

  Gatekeeper* const gatekeeper_;
  const Options options_;
  const std::function<void()> on_registry_;
  const std::function<void(std::string_view)> on_certificate_;
  bool failing_ = false;  // the thread's
  absl::Mutex mutex_;
  SteadyCondVar changed_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_ENROL_GATE_WATCH_H_
