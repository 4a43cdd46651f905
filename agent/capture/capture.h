// The kernel side: programs, probes, discovery. What it captures is in a ring buffer, which a
// RingReader reads.
#ifndef TOKENWATCH_AGENT_CAPTURE_CAPTURE_H_
#define TOKENWATCH_AGENT_CAPTURE_CAPTURE_H_

#include <unistd.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/capture/capture_control.h"
#include "agent/capture/ring_reader.h"
#include "agent/capture/scope.h"
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
  // Process ids that are the agent itself and are never observed, at most two.
  std::vector<uint32_t> own_pids = {static_cast<uint32_t>(getpid())};
};

class Capture : public CaptureControl {
 public:
  // Words for CaptureOptions::socket_backend.
  static const std::vector<std::string>& SocketBackends();

  // Loads and attaches everything; when it returns, requests get into the ring. Errors are
  // sentences that say what to do.
  static absl::StatusOr<std::unique_ptr<Capture>> Create(const CaptureOptions& options);
  ~Capture() override;

  // Valid as long as this is.
  RingMaps Ring() const;

  // To be called every second or so, on one thread: every some seconds removes what the kernel
  // remembers of the dead.
  void Sweep(uint64_t now_mono_ns);

  bool LookAtProcess(uint64_t process, uint32_t pid, const std::string& exe) override;
  std::optional<TlsSight> SightOf(uint64_t process) override;
  void ForgetProcess(uint64_t process) override;
  bool WipeRing() override;
  CaptureStatus Status() override;
  void AddCounters(Counters* counters) override;

 private:
  struct Parts;
  explicit Capture(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_CAPTURE_H_
