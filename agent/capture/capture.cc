#include "agent/capture/capture.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>

#include <atomic>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/capture/capabilities.h"
#include "agent/capture/discovery.h"
#include "agent/capture/host_facts.h"
#include "agent/capture/inode_reader.h"
#include "agent/capture/kernel_counters.h"
#include "agent/capture/kernel_programs.h"
#include "agent/capture/pod_scope.h"
#include "agent/capture/quic_watch.h"
#include "agent/capture/return_probe_check.h"
#include "agent/capture/ring_reader.h"
#include "agent/capture/socket_backend.h"
#include "agent/capture/state_sweeper.h"
#include "agent/capture/tls_inspector.h"
#include "agent/capture/tls_probes.h"
#include "agent/common/file_limit.h"
#include "agent/common/log.h"

namespace tokenwatch {
namespace {

constexpr uint64_t kSweepNs = 10'000'000'000;

// struct tw_excluded of bpf/state.h.
struct ExcludedKey {
  uint8_t address[16];
  uint16_t port;
  uint8_t family;
  uint8_t pad;
};
static_assert(sizeof(ExcludedKey) == 20);

absl::Status Exclude(int map, const ExcludedAddress& excluded) {
  ExcludedKey key = {};
  key.port = excluded.port;
  if (inet_pton(AF_INET, excluded.address.c_str(), key.address) == 1) {
    key.family = 4;
  } else if (inet_pton(AF_INET6, excluded.address.c_str(), key.address) == 1) {
    key.family = 6;
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat(excluded.address, " is neither an IPv4 nor an IPv6 address"));
  }
  const uint8_t one = 1;
  if (bpf_map_update_elem(map, &key, &one, BPF_ANY) != 0) {
    return KernelError(-errno, "excluding the collector's address");
  }
  // A socket that listens on both families sees IPv4 as mapped addresses (RFC 4291, 2.5.5.2).
  if (key.family == 4) {
    ExcludedKey mapped = {};
    mapped.port = key.port;
    mapped.family = 6;
    mapped.address[10] = mapped.address[11] = 0xff;
    std::copy(key.address, key.address + 4, mapped.address + 12);
    if (bpf_map_update_elem(map, &mapped, &one, BPF_ANY) != 0) {
      return KernelError(-errno, "excluding the collector's address");
    }
  }
  return absl::OkStatus();
}

}  // namespace

// In the order of their making; destroyed the other way round.
struct Capture::Parts {
  std::unique_ptr<KernelPrograms> programs;
  std::unique_ptr<PodScope> pods;  // null where no namespace is given
  std::unique_ptr<InodeReader> inodes;
  std::string returns_refused;
  std::vector<std::string> lost_capabilities;
  std::unique_ptr<TlsProbes> tls;
  std::unique_ptr<TlsInspector> inspector;
  std::unique_ptr<SocketBackend> sockets;
  std::unique_ptr<QuicWatch> quic;
  std::unique_ptr<Discovery> discovery;
  uint64_t swept_ns = 0;
  std::atomic<uint64_t> swept_connections{0}, swept_calls{0}, swept_verdicts{0},
      kept_connections{0};
};

const std::vector<std::string>& Capture::SocketBackends() { return SocketBackendNames(); }

Capture::Capture(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Capture::~Capture() = default;

absl::StatusOr<std::unique_ptr<Capture>> Capture::Create(const CaptureOptions& options) {
  const HostFacts host = ReadHostFacts();
  absl::Status status = CheckHost(host);
  if (!status.ok()) return status;

  auto parts = std::make_unique<Parts>();
  parts->lost_capabilities = LostCapabilities(host);
  for (const std::string& lost : parts->lost_capabilities) Log(LogLevel::kWarning, lost);
  KernelKnobs knobs;
  knobs.scope = options.scope;
  knobs.inbound = options.inbound;
  knobs.own_pids = options.own_pids;
  absl::StatusOr<std::unique_ptr<KernelPrograms>> programs = KernelPrograms::Create(knobs);
  if (!programs.ok()) return programs.status();
  parts->programs = *std::move(programs);
  const int excluded = bpf_map__fd(parts->programs->process().maps.tw_excluded);
  for (const ExcludedAddress& address : options.excluded) {
    status = Exclude(excluded, address);
    if (!status.ok()) return status;
  }

  if (!options.scope.namespaces.empty()) {
    absl::StatusOr<std::unique_ptr<PodScope>> pods =
        PodScope::Start({.namespaces = options.scope.namespaces,
                         .pods_dir = options.scope.pods_dir,
                         .cgroup_root = parts->programs->scope().cgroup_root},
                        bpf_map__fd(parts->programs->process().maps.tw_scope_pods));
    if (!pods.ok()) return pods.status();
    parts->pods = *std::move(pods);
  }

  absl::StatusOr<std::unique_ptr<SocketBackend>> sockets =
      SocketBackend::Attach(*parts->programs, options.socket_backend);
  if (!sockets.ok()) return sockets.status();
  parts->sockets = *std::move(sockets);
  parts->quic = QuicWatch::Attach(*parts->programs);

  absl::StatusOr<std::unique_ptr<InodeReader>> inodes = InodeReader::Create();
  if (!inodes.ok()) return inodes.status();
  parts->inodes = *std::move(inodes);
  RaiseFileLimit();
  ProbePolicy policy;
  policy.public_only = options.public_sites;
  policy.returns_refused = HarmOfReturnProbes();
  policy.kernel_returns = options.kernel_returns && policy.returns_refused.empty();
  if (!policy.returns_refused.empty()) {
    Log(LogLevel::kWarning, "the kernel's return probes are not used: ", policy.returns_refused);
  }
  parts->returns_refused = policy.returns_refused;
  parts->tls =
      std::make_unique<TlsProbes>(parts->programs.get(), parts->inodes.get(), std::move(policy));
  parts->inspector = std::make_unique<TlsInspector>("/proc", parts->tls.get());
  absl::StatusOr<std::unique_ptr<Discovery>> discovery = Discovery::Start(parts->tls.get());
  if (!discovery.ok()) return discovery.status();
  parts->discovery = *std::move(discovery);
  return std::unique_ptr<Capture>(new Capture(std::move(parts)));
}

RingMaps Capture::Ring() const {
  const auto& maps = parts_->programs->process().maps;
  return {.segments = bpf_map__fd(maps.tw_segments),
          .control = bpf_map__fd(maps.tw_control),
          .bytes = bpf_map__max_entries(maps.tw_segments)};
}

bool Capture::WipeRing() {
  // A raw tracepoint's context is optional in a test run (kernel commit 1b4d60ec162f).
  LIBBPF_OPTS(bpf_test_run_opts, options);
  const int program = bpf_program__fd(parts_->programs->process().progs.tw_wipe);
  return bpf_prog_test_run_opts(program, &options) == 0;
}

void Capture::Sweep(uint64_t now_mono_ns) {
  if (now_mono_ns < parts_->swept_ns + kSweepNs) return;
  parts_->swept_ns = now_mono_ns;
  parts_->tls->CheckSites();
  const SweepResult swept = SweepKernelState(*parts_->programs, now_mono_ns);
  parts_->swept_connections += swept.connections;
  parts_->swept_calls += swept.calls;
  parts_->swept_verdicts += swept.verdicts;
  parts_->kept_connections = swept.kept_connections;
}

bool Capture::LookAtProcess(uint64_t process, uint32_t pid, const std::string& exe) {
  return parts_->inspector->Look(process, pid, exe);
}

std::optional<TlsSight> Capture::SightOf(uint64_t process) {
  return parts_->inspector->Result(process);
}

void Capture::ForgetProcess(uint64_t process) { parts_->inspector->Forget(process); }

CaptureStatus Capture::Status() {
  CaptureStatus status;
  for (ProbeStatus& probe : parts_->tls->Status()) {
    status.probes.push_back(
        {std::move(probe.library), std::move(probe.file), std::move(probe.symbol),
         std::move(probe.symbols), std::move(probe.site), std::move(probe.reason), probe.emulated,
         probe.offset, probe.hits, probe.hits_known, std::move(probe.returns),
         std::move(probe.returns_reason), std::move(probe.return_offsets), probe.stepped_returns});
  }
  status.socket_backend = parts_->sockets->name();
  status.socket_sites = parts_->sockets->sites();
  status.socket_blind_to = parts_->sockets->blind_to();
  status.socket_rejected = parts_->sockets->rejected();
  status.quic_backend = parts_->quic->name();
  status.quic_rejected = parts_->quic->rejected();
  status.returns_refused = parts_->returns_refused;
  // Both are about which files are found, and when.
  std::vector<std::string> degraded = parts_->lost_capabilities;
  if (!degraded.empty()) degraded.front().insert(0, "capabilities-missing: ");
  if (!parts_->discovery->degraded().empty()) degraded.push_back(parts_->discovery->degraded());
  status.discovery_degraded = absl::StrJoin(degraded, "; ");
  status.scope_executables = parts_->programs->scope().executables;
  if (parts_->pods != nullptr) {
    PodStatus pods = parts_->pods->Status();
    status.scope_pods = pods.pods;
    status.scope_pods_without_cgroup = pods.pods_without_cgroup;
    status.scope_degraded = std::move(pods.degraded);
  }
  return status;
}

void Capture::AddCounters(Counters* counters) {
  AddKernelCounters(bpf_map__fd(parts_->programs->process().maps.tw_counters), counters);
  (*counters)["program_runs_lost"] = MissedRuns(parts_->programs->process().obj) +
                                     MissedRuns(parts_->programs->tls().obj) +
                                     MissedRuns(parts_->sockets->object());
  if (parts_->pods != nullptr) parts_->pods->AddCounters(counters);
  parts_->tls->AddCounters(counters);
  parts_->discovery->AddCounters(counters);
  (*counters)["connections_swept"] = parts_->swept_connections;
  (*counters)["calls_swept"] = parts_->swept_calls;
  (*counters)["scope_verdicts_swept"] = parts_->swept_verdicts;
  (*counters)["connections_followed"] = parts_->kept_connections;
}

}  // namespace tokenwatch
