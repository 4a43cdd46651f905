// The BPF objects of bpf/, loaded, with one set of maps between them. Includes the skeletons, so
// only this folder includes it.
#ifndef TOKENWATCH_AGENT_CAPTURE_KERNEL_PROGRAMS_H_
#define TOKENWATCH_AGENT_CAPTURE_KERNEL_PROGRAMS_H_

#include <bpf/libbpf.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/capture/scope.h"
#include "agent/capture/unique_fd.h"
#include "process.skel.h"
#include "quic.skel.h"
#include "socket.skel.h"
#include "tls.skel.h"

namespace tokenwatch {

// What the programs are told before they are loaded.
struct KernelKnobs {
  Scope scope;
  bool inbound = false;
  std::vector<uint32_t> own_pids;  // at most two; never observed
  uint32_t ring_bytes = 4 << 20;   // a power of two of at least 256 KiB
};

// The skeletons' own functions have internal linkage, so they are called in one place only.
struct SkeletonDeleter {
  void operator()(tw_process_skel* skeleton) const;
  void operator()(tw_quic_skel* skeleton) const;
  void operator()(tw_socket_skel* skeleton) const;
  void operator()(tw_tls_skel* skeleton) const;
};
using ProcessObject = std::unique_ptr<tw_process_skel, SkeletonDeleter>;
using QuicObject = std::unique_ptr<tw_quic_skel, SkeletonDeleter>;
using SocketObject = std::unique_ptr<tw_socket_skel, SkeletonDeleter>;
using TlsObject = std::unique_ptr<tw_tls_skel, SkeletonDeleter>;

struct LinkDeleter {
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};
using Link = std::unique_ptr<bpf_link, LinkDeleter>;

// Owns the process object, whose maps all others share, and the TLS object. Used on one thread
// while it is created; file descriptors of maps may be used on any.
class KernelPrograms {
 public:
  // Loads and attaches what needs no choice. Errors name the program and what to do.
  static absl::StatusOr<std::unique_ptr<KernelPrograms>> Create(const KernelKnobs& knobs);

  // An object that is open, told the knobs and given the maps, but not loaded: the caller chooses
  // its programs.
  absl::StatusOr<SocketObject> OpenSocketObject() const;
  absl::StatusOr<QuicObject> OpenQuicObject() const;

  const tw_process_skel& process() const { return *process_; }
  // The knobs' scope, as the maps have it; the pods of its namespaces are the caller's to add.
  const ResolvedScope& scope() const { return scope_; }
  tw_tls_skel& tls() { return *tls_; }
  // Whether the programs can tell which attached probe fired (5.15 on): then tw_tls_entry and
  // tw_tls_exit are loaded, else a program a function.
  bool has_cookie() const { return has_cookie_; }
  // Whether those two were loaded for links of many probes.
  bool has_uprobe_multi() const { return has_uprobe_multi_; }

 private:
  KernelPrograms() = default;
  absl::Status Load();
  template <typename Rodata>
  void FillKnobs(Rodata* rodata) const;
  template <typename Rodata>
  void FillTable(Rodata* rodata) const;
  absl::Status ShareMaps(bpf_object* object) const;
  absl::Status FillScope() const;

  KernelKnobs knobs_;
  ResolvedScope scope_;
  uint64_t scope_seed_ = 0;
  bool has_cookie_ = false;
  bool has_uprobe_multi_ = false;
  ProcessObject process_;
  TlsObject tls_;
  Link exit_link_, exec_link_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_KERNEL_PROGRAMS_H_
