#include <sys/timex.h>

#include <algorithm>
#include <utility>

#include "agent/capture/capabilities.h"
#include "agent/capture/return_probe_check.h"
#include "agent/doctor/check.h"

namespace tokenwatch {
namespace {

constexpr Check kChecks[] = {
    {"kernel", CheckKernel},         {"capabilities", CheckOwnCapabilities},
    {"lockdown", CheckLockdownMode}, {"seccomp", CheckSeccomp},
    {"cgroups", CheckCgroups},       {"sockets", CheckSockets},
    {"libraries", CheckLibraries},   {"containers", CheckContainerRuntime},
    {"key", CheckFleetKey},          {"formats", CheckTokenFormats},
    {"spool", CheckSpool},           {"collector", CheckCollector},
    {"clock", CheckClock},           {"ports", CheckPorts},
};

}  // namespace

absl::Span<const Check> Checks() { return kChecks; }

DoctorHost ThisHost() {
  DoctorHost host;
  host.try_sockets = TrySocketBackends;
  host.try_return_probes = [] { return HarmOfReturnProbes(); };
  host.is_clock_synchronised = [] {
    timex state = {};
    return adjtimex(&state) != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
  };
  return host;
}

bool DoctorContext::MayTry() const { return CheckHost(facts).ok(); }

Finding FromStatus(std::string what, const absl::Status& status, Verdict verdict) {
  if (status.ok()) return Ok(std::move(what));
  const std::string text(status.message());
  // What to do comes last, behind a colon or a semicolon.
  const size_t colon = text.rfind(": "), semicolon = text.rfind("; ");
  const size_t at = colon == std::string::npos       ? semicolon
                    : semicolon == std::string::npos ? colon
                                                     : std::max(colon, semicolon);
  if (at == std::string::npos) return {verdict, std::move(what), text, ""};
  return {verdict, std::move(what), text.substr(0, at), text.substr(at + 2)};
}

}  // namespace tokenwatch
