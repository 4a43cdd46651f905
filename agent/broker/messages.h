// What broker and worker tell each other besides requests (request.h), and how types that are
// answers look on the wire.
#ifndef TOKENWATCH_AGENT_BROKER_MESSAGES_H_
#define TOKENWATCH_AGENT_BROKER_MESSAGES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "agent/capture/capture_control.h"
#include "agent/workload/container_lookup.h"
#include "agent/workload/proc.h"

namespace tokenwatch {

// The first message to the worker: the probes are attached. With it go the descriptors of the ring
// buffer's map and of the control map.
struct StartMessage {
  int64_t attached_unix_ns = 0;
  uint64_t ring_bytes = 0;
  std::string socket_backend;
};

// The worker's answer. With an error, it ends.
struct ReadyMessage {
  static constexpr size_t kMax = size_t{16} << 10;  // on the wire

  uint64_t code = 0;  // absl::StatusCode
  std::string message;
};

// What follows from the worker, each second: a message without a frame, empty or one sentence for
// the service manager of at most so many bytes, without control characters. From the broker follows
// an empty message, which says stop.
inline constexpr size_t kSentenceMax = 1000;

template <class Wire>
void Describe(Wire& wire, StartMessage& it) {
  wire(it.attached_unix_ns, it.ring_bytes, it.socket_backend);
}

template <class Wire>
void Describe(Wire& wire, ReadyMessage& it) {
  wire(it.code, it.message);
}

template <class Wire>
void Describe(Wire& wire, ProcReader::Stat& it) {
  wire(it.parent_pid, it.start_ticks);
}

// An answer of ContainerLookup, by value.
struct ContainerMessage {
  uint64_t state = static_cast<uint64_t>(ContainerLookup::State::kUnknown);
  std::optional<ContainerIdentity> identity;
};

template <class Wire>
void Describe(Wire& wire, ContainerIdentity& it) {
  wire(it.container_name, it.image, it.pod, it.namespace_name, it.service_account, it.labels);
}

template <class Wire>
void Describe(Wire& wire, ContainerMessage& it) {
  wire(it.state, it.identity);
}

template <class Wire>
void Describe(Wire& wire, ContainerStatus& it) {
  wire(it.socket, it.runtime, it.degraded);
}

template <class Wire>
void Describe(Wire& wire, TlsSight& it) {
  wire(it.has_probed, it.probed_ns, it.has_unprobed, it.other);
}

template <class Wire>
void Describe(Wire& wire, CaptureStatus::Probe& it) {
  wire(it.library, it.file, it.symbol, it.symbols, it.site, it.reason, it.emulated, it.offset,
       it.hits, it.hits_known, it.returns, it.returns_reason, it.return_offsets,
       it.stepped_returns);
}

template <class Wire>
void Describe(Wire& wire, CaptureStatus& it) {
  wire(it.probes, it.socket_backend, it.socket_sites, it.socket_blind_to, it.socket_rejected,
       it.quic_backend, it.quic_rejected, it.returns_refused, it.discovery_degraded,
       it.scope_executables, it.scope_pods, it.scope_pods_without_cgroup, it.scope_degraded);
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_BROKER_MESSAGES_H_
