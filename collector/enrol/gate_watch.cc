#include "collector/enrol/gate_watch.h"

#include <chrono>
#include <utility>

#include "absl/time/clock.h"
#include "agent/common/log.h"
#include "agent/common/secret_file.h"

namespace tokenwatch {

GateWatch::GateWatch(Gatekeeper* gatekeeper, const Options& options,
                     std::function<void()> on_registry,
                     std::function<void(std::string_view)> on_certificate)
    : gatekeeper_(gatekeeper),
      options_(options),
      on_registry_(std::move(on_registry)),
      on_certificate_(std::move(on_certificate)),
      thread_([this] { Run(); }) {}

GateWatch::~GateWatch() {
  {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.SignalAll();
  }
  thread_.join();
}

void GateWatch::Run() {
  // Steady: a wall clock that is set back must not put either off.
  using Steady = std::chrono::steady_clock;
  const auto certificate_interval = absl::ToChronoMicroseconds(options_.certificate_interval);
  Steady::time_point next_certificate = Steady::now() + certificate_interval;
  while (true) {
    {
      const absl::MutexLock lock(&mutex_);
      if (!stopping_) changed_.WaitWithTimeout(&mutex_, options_.registry_interval);
      if (stopping_) return;
    }
    LookAtRegistry();
    if (Steady::now() < next_certificate) continue;
    next_certificate = Steady::now() + certificate_interval;
    LookAtCertificate();
  }
}

void GateWatch::LookAtRegistry() {
  const absl::StatusOr<bool> read = gatekeeper_->Refresh();
  if (read.ok()) {
    if (std::exchange(failing_, false)) {
      Log(LogLevel::kInfo, "the list of agents and credentials can be read again");
    }
  } else if (!std::exchange(failing_, true)) {
    Log(LogLevel::kError,
        "nobody can enrol, renew or be revoked, though whoever was kept out stays out: ",
        read.status().message());
  }
  on_registry_();
}

void GateWatch::LookAtCertificate() {
  const absl::StatusOr<bool> made = gatekeeper_->KeepServer();
  if (!made.ok()) {
    Log(LogLevel::kError, "the server's certificate cannot be renewed: ", made.status().message());
    return;
  }
  if (*made) Log(LogLevel::kInfo, "made another certificate for this server");
  // Also where `init` made it with other names.
  const auto pem = ReadSecretFile(gatekeeper_->ServerFile(), "the server's certificate");
  if (pem.ok()) on_certificate_(pem->view());
}

}  // namespace tokenwatch
