#include "agent/capture/kernel_programs.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "agent/capture/capabilities.h"
#include "agent/capture/framing_table.h"
#include "agent/capture/huffman_table.h"
#include "agent/capture/scope.h"
#include "agent/capture/uprobe_multi.h"
#include "agent/common/log.h"

namespace tokenwatch {
namespace {

int PrintLibbpf(enum libbpf_print_level level, const char* format, va_list args) {
  if (level != LIBBPF_WARN) return 0;
  char line[1024];
  int length = vsnprintf(line, sizeof(line), format, args);
  length = std::clamp(length, 0, static_cast<int>(sizeof(line)) - 1);
  while (length > 0 && line[length - 1] == '\n') --length;
  LogLine(LogLevel::kDebug, std::string_view(line, length));
  return 0;
}

// Hash maps take their memory when they are made: those of kinds that are not in use are tiny.
void ShrinkUnusedMaps(const tw_process_skel& process, const Scope& scope) {
  const auto shrink = [](bpf_map* map) { bpf_map__set_max_entries(map, 1); };
  if (scope.users.empty()) shrink(process.maps.tw_scope_users);
  if (scope.namespaces.empty()) shrink(process.maps.tw_scope_pods);
  if (scope.executables.empty()) {
    shrink(process.maps.tw_scope_exes);
    shrink(process.maps.tw_verdicts);
  }
}

template <typename Key>
absl::Status PutInScope(const bpf_map* map, const Key& key, const std::string& what) {
  const uint8_t one = 1;
  if (bpf_map_update_elem(bpf_map__fd(map), &key, &one, BPF_ANY) == 0) return absl::OkStatus();
  return KernelError(-errno, absl::StrCat("putting ", what, " into scope"));
}

// The verifier answers EINVAL where it lets no program call what these do.
absl::Status LoadError(int negative_errno, const std::string& what) {
  if (negative_errno != -EINVAL) return KernelError(negative_errno, what);
  return absl::FailedPreconditionError(
      absl::StrCat(what,
                   ": refused by the kernel's verifier, as one does that is locked down for "
                   "confidentiality; see `tokenwatch-agent doctor`"));
}

// Writes a table into an object's read-only data, which has as much room for it.
template <typename Table, typename Member>
void Fill(const Table& table, Member* member) {
  static_assert(sizeof(table) == sizeof(*member));
  std::memcpy(const_cast<void*>(static_cast<const volatile void*>(member)), table.data(),
              sizeof(table));
}

}  // namespace

// Rodata members have the same names in every object; not every object has all of them.
template <typename Rodata>
void KernelPrograms::FillKnobs(Rodata* rodata) const {
  // No task is observed by default: 0 is the idle task's.
  rodata->tw_self_tgid = knobs_.own_pids.empty() ? 0 : knobs_.own_pids.front();
  rodata->tw_worker_tgid = knobs_.own_pids.empty() ? 0 : knobs_.own_pids.back();
  rodata->tw_scope_cgroups = static_cast<uint32_t>(scope_.cgroups.size());
  rodata->tw_scope_by_user = !knobs_.scope.users.empty();
  rodata->tw_scope_by_exe = !knobs_.scope.executables.empty();
  rodata->tw_scope_by_pod = !knobs_.scope.namespaces.empty();
  rodata->tw_scope_seed = scope_seed_;
  rodata->tw_wake_bytes = knobs_.ring_bytes / 4;
}

template <typename Rodata>
void KernelPrograms::FillTable(Rodata* rodata) const {
  FillKnobs(rodata);
  rodata->tw_inbound = knobs_.inbound;
  const FramingTable& table = GetFramingTable();
  Fill(table.classes, &rodata->tw_class);
  Fill(table.transitions, &rodata->tw_table);
  Fill(GetHuffmanTable(), &rodata->tw_huffman);
}

void SkeletonDeleter::operator()(tw_process_skel* skeleton) const {
  tw_process_skel__destroy(skeleton);
}
void SkeletonDeleter::operator()(tw_quic_skel* skeleton) const { tw_quic_skel__destroy(skeleton); }
void SkeletonDeleter::operator()(tw_socket_skel* skeleton) const {
  tw_socket_skel__destroy(skeleton);
}
void SkeletonDeleter::operator()(tw_tls_skel* skeleton) const { tw_tls_skel__destroy(skeleton); }

absl::StatusOr<std::unique_ptr<KernelPrograms>> KernelPrograms::Create(const KernelKnobs& knobs) {
  libbpf_set_print(PrintLibbpf);
  auto programs = std::unique_ptr<KernelPrograms>(new KernelPrograms());
  programs->knobs_ = knobs;
  absl::Status status = programs->Load();
  if (!status.ok()) return status;
  return programs;
}

absl::Status KernelPrograms::Load() {
  has_cookie_ =
      libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_get_attach_cookie, nullptr) == 1;
  has_uprobe_multi_ = has_cookie_ && HasUprobeMulti();
  process_.reset(tw_process_skel__open());
  if (process_ == nullptr) return KernelError(-errno, "opening the BPF object of processes");
  absl::StatusOr<ResolvedScope> scope = ResolveScope(knobs_.scope);
  if (!scope.ok()) return scope.status();
  scope_ = *std::move(scope);
  // Without a seed that nobody knows, a path could be made whose hash is another's.
  if (getentropy(&scope_seed_, sizeof(scope_seed_)) != 0) {
    return KernelError(-errno, "asking the kernel for random bytes");
  }
  FillKnobs(process_->rodata);
  ShrinkUnusedMaps(*process_, knobs_.scope);
  bpf_map__set_max_entries(process_->maps.tw_segments, knobs_.ring_bytes);
  int error = tw_process_skel__load(process_.get());
  if (error != 0) return LoadError(error, "loading the BPF programs of processes");
  absl::Status status = FillScope();
  if (!status.ok()) return status;

  tls_.reset(tw_tls_skel__open());
  if (tls_ == nullptr) return KernelError(-errno, "opening the BPF object of TLS libraries");
  FillTable(tls_->rodata);
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, tls_->obj) {
    const bool is_generic =
        program == tls_->progs.tw_tls_entry || program == tls_->progs.tw_tls_exit;
    bpf_program__set_autoload(program, is_generic == has_cookie_);
    if (is_generic && has_uprobe_multi_) {
      bpf_program__set_expected_attach_type(program,
                                            static_cast<bpf_attach_type>(kTraceUprobeMulti));
    }
  }
  status = ShareMaps(tls_->obj);
  if (!status.ok()) return status;
  error = tw_tls_skel__load(tls_.get());
  if (error != 0) return LoadError(error, "loading the BPF programs of TLS libraries");

  exit_link_.reset(bpf_program__attach(process_->progs.tw_task_exit));
  if (exit_link_ == nullptr) return KernelError(-errno, "attaching to sched_process_exit");
  exec_link_.reset(bpf_program__attach(process_->progs.tw_task_exec));
  if (exec_link_ == nullptr) return KernelError(-errno, "attaching to sched_process_exec");
  return absl::OkStatus();
}

absl::Status KernelPrograms::FillScope() const {
  const int cgroups = bpf_map__fd(process_->maps.tw_scope);
  for (uint32_t i = 0; i < scope_.cgroups.size(); ++i) {
    const int cgroup = scope_.cgroups[i].get();
    if (bpf_map_update_elem(cgroups, &i, &cgroup, BPF_ANY) != 0) {
      return KernelError(
          -errno, absl::StrCat("putting the cgroup ", knobs_.scope.cgroups[i], " into scope"));
    }
  }
  for (const uint32_t uid : scope_.uids) {
    absl::Status status =
        PutInScope(process_->maps.tw_scope_users, uid, absl::StrCat("user ", uid));
    if (!status.ok()) return status;
  }
  for (const std::string& path : scope_.executables) {
    absl::Status status =
        PutInScope(process_->maps.tw_scope_exes, HashPath(path, scope_seed_), path);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status KernelPrograms::ShareMaps(bpf_object* object) const {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (bpf_map__is_internal(map)) continue;
    const bpf_map* shared = bpf_object__find_map_by_name(process_->obj, bpf_map__name(map));
    if (shared == nullptr) continue;
    const int error = bpf_map__reuse_fd(map, bpf_map__fd(shared));
    if (error != 0) return KernelError(error, absl::StrCat("sharing map ", bpf_map__name(map)));
  }
  return absl::OkStatus();
}

absl::StatusOr<QuicObject> KernelPrograms::OpenQuicObject() const {
  QuicObject quic(tw_quic_skel__open());
  if (quic == nullptr) return KernelError(-errno, "opening the BPF object of QUIC");
  FillKnobs(quic->rodata);
  absl::Status status = ShareMaps(quic->obj);
  if (!status.ok()) return status;
  return quic;
}

absl::StatusOr<SocketObject> KernelPrograms::OpenSocketObject() const {
  SocketObject socket(tw_socket_skel__open());
  if (socket == nullptr) return KernelError(-errno, "opening the BPF object of sockets");
  FillTable(socket->rodata);
  absl::Status status = ShareMaps(socket->obj);
  if (!status.ok()) return status;
  return socket;
}

}  // namespace tokenwatch
