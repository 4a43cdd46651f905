// What the path of a token asks of the kernel side while it runs; the two may be in two processes.
#ifndef TOKENWATCH_AGENT_CAPTURE_CAPTURE_CONTROL_H_
#define TOKENWATCH_AGENT_CAPTURE_CAPTURE_CONTROL_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/capture/tls_sight.h"
#include "agent/common/counters.h"

namespace tokenwatch {

// What the status page shows of the kernel side.
struct CaptureStatus {
  struct Probe {
    std::string library, file, symbol;
    std::vector<std::string> symbols;  // all that it serves, `symbol` first
    std::string site, reason;          // where it sits, and why there
    bool emulated = false;             // by the kernel; else it single-steps the probed instruction
    uint64_t offset = 0;
    uint64_t hits = 0;
    bool hits_known = true;
    std::string returns, returns_reason;   // ProbeStatus of tls_probes.h
    std::vector<uint64_t> return_offsets;  // in the file
    size_t stepped_returns = 0;
  };
  std::vector<Probe> probes;
  std::string socket_backend;
  std::vector<std::string> socket_sites;
  std::string socket_blind_to;  // empty: nothing known
  std::string socket_rejected;  // why the backends before it were not taken
  // How the beginnings of QUIC connections are seen; empty: not at all.
  std::string quic_backend;
  std::string quic_rejected;
  std::string returns_refused;     // why no return probe of the kernel is used; empty: they may be
  std::string discovery_degraded;  // a mode's name and a sentence; empty: all is well
  // What --scope-exe names, with what links lead to.
  std::vector<std::string> scope_executables;
  // Of the namespaces in scope; pods that have a cgroup, and that have none.
  uint64_t scope_pods = 0, scope_pods_without_cgroup = 0;
  std::string scope_degraded;  // a mode's name and a sentence; empty: all is well
};

// Any thread.
class CaptureControl {
 public:
  virtual ~CaptureControl() = default;

  // Of the process image `process` that makes TLS connections: looks at what it does TLS with,
  // while it is there, else at `exe` (a path in this mount namespace, or empty), and says later
  // what was found (tls_inspector.h); none while that is not known yet. An answer is final. False
  // where too much is waiting to be looked at; it may be tried again.
  virtual bool LookAtProcess(uint64_t process, uint32_t pid, const std::string& exe) = 0;
  virtual std::optional<TlsSight> SightOf(uint64_t process) = 0;
  virtual void ForgetProcess(uint64_t process) = 0;

  // Has the kernel write zeros over a part of the ring, behind what was written last. False where
  // that failed.
  virtual bool WipeRing() = 0;

  virtual CaptureStatus Status() = 0;
  virtual void AddCounters(Counters* counters) = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_CAPTURE_CONTROL_H_
