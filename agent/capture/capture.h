// The kernel side as one source of segments: programs, probes, discovery, ring buffer.
#ifndef TOKENWATCH_AGENT_CAPTURE_CAPTURE_H_
#define TOKENWATCH_AGENT_CAPTURE_CAPTURE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/capture/scope.h"
#include "agent/capture/segment.h"
#include "agent/common/counters.h"

namespace tokenwatch {

// An address that is never observed, e.g. the collector's.
struct ExcludedAddress {
  std::string address;  // IPv4 or IPv6, textual
  uint16_t port = 0;
};

struct CaptureOptions {
  Scope scope;
  bool inbound = false;
  std::string socket_backend = "auto";
  std::vector<ExcludedAddress> excluded;
  bool public_sites = false;  // probe the public entries of libraries only, whatever they cost
  // See returns by the kernel's return probes. Where these are found to do harm it is not followed.
  bool kernel_returns = false;
};

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

class Capture : public SegmentSource {
 public:
  // Words for CaptureOptions::socket_backend.
  static const std::vector<std::string>& SocketBackends();

  // Loads and attaches everything; when it returns, requests are seen. Errors are sentences that
  // say what to do.
  static absl::StatusOr<std::unique_ptr<Capture>> Create(const CaptureOptions& options);
  ~Capture() override;

  absl::StatusOr<int> Poll(int timeout_ms, SegmentHandler handler) override;

  // To be called between polls, on the same thread: wipes an idle ring, and every some seconds
  // removes what the kernel remembers of the dead.
  void Maintain(uint64_t now_mono_ns, SegmentHandler handler);

  // CLOCK_MONOTONIC, ns: of calls that had returned by then, all has been delivered. 0 before the
  // first such moment. On the polling thread.
  uint64_t DeliveredUntilNs() const;

  // Of the process image `process` that makes TLS connections: looks at what it does TLS with,
  // while it is there, else at `exe` (a path in this mount namespace, or empty), and says later why
  // a connection that began at `begun_ns` (CLOCK_MONOTONIC) is dark (tls_inspector.h); none while
  // that is not known yet. Any thread.
  void LookAtProcess(uint64_t process, uint32_t pid, const std::string& exe);
  std::optional<std::string> WhyDark(uint64_t process, uint64_t begun_ns) const;
  void ForgetProcess(uint64_t process);

  // Any thread.
  CaptureStatus Status() const;
  void AddCounters(Counters* counters) const;

 private:
  struct Parts;
  explicit Capture(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_CAPTURE_H_
