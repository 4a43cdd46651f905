#include "agent/capture/socket_trial.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "agent/capture/unique_fd.h"

namespace tokenwatch {
namespace {

constexpr char kHarmless[] = "bpf_fentry_test1";

struct FreeBtf {
  void operator()(btf* types) const { btf__free(types); }
};
using Btf = std::unique_ptr<btf, FreeBtf>;

std::string Refusal(const std::string& what, int error) {
  return absl::StrCat(what, " is refused: ", std::strerror(error));
}

// A program that does nothing but what every one of bpf/ does, to read the kernel's memory: where
// the kernel is locked down for confidentiality it is refused for that.
UniqueFd LoadHarmless(bpf_prog_type type, bpf_attach_type attach_type, int id) {
  const bpf_insn instructions[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_X,
       .dst_reg = BPF_REG_1,
       .src_reg = BPF_REG_10,
       .off = 0,
       .imm = 0},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K,
       .dst_reg = BPF_REG_1,
       .src_reg = 0,
       .off = 0,
       .imm = -8},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .src_reg = 0, .off = 0, .imm = 8},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_CALL,
       .dst_reg = 0,
       .src_reg = 0,
       .off = 0,
       .imm = BPF_FUNC_probe_read_kernel},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  bpf_prog_load_opts options{};
  options.sz = sizeof(options);
  options.expected_attach_type = attach_type;
  options.attach_btf_id = static_cast<uint32_t>(id);
  return UniqueFd(bpf_prog_load(type, "tw_trial", "Dual BSD/GPL", instructions,
                                std::size(instructions), &options));
}

std::string LoadRefused(int error) {
  return error == EINVAL ? "programs that read memory are refused, as by a kernel that is locked "
                           "down for confidentiality"
                         : Refusal("loading a program", error);
}

std::string TryFentry(const btf* types) {
  for (const char* function : {"tcp_sendmsg", "tcp_recvmsg", kHarmless}) {
    if (btf__find_by_name_kind(types, function, BTF_KIND_FUNC) <= 0) {
      return absl::StrCat("the kernel's BTF has no ", function);
    }
  }
  const UniqueFd program = LoadHarmless(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY,
                                        btf__find_by_name_kind(types, kHarmless, BTF_KIND_FUNC));
  if (!program.valid()) return LoadRefused(errno);
  const UniqueFd link(bpf_raw_tracepoint_open(nullptr, program.get()));
  return link.valid() ? "" : Refusal("attaching a program to a test function", errno);
}

std::string TryKprobe() {
  std::ifstream file("/sys/bus/event_source/devices/kprobe/type");
  uint32_t type = 0;
  if (!(file >> type)) return "the kernel has no kprobes (CONFIG_KPROBE_EVENTS)";
  perf_event_attr attributes = {};
  attributes.size = sizeof(attributes);
  attributes.type = type;
  attributes.config1 = reinterpret_cast<uintptr_t>(kHarmless);
  const UniqueFd event(
      static_cast<int>(syscall(SYS_perf_event_open, &attributes, -1, 0, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!event.valid()) return Refusal("a probe on a test function", errno);
  const UniqueFd program = LoadHarmless(BPF_PROG_TYPE_KPROBE, bpf_attach_type(), 0);
  return program.valid() ? "" : LoadRefused(errno);
}

std::string TryTracepoint(const btf* types) {
  for (const char* tracepoint : {"tcp_sendmsg_locked", "sock_send_length", "sock_recv_length"}) {
    const std::string type = absl::StrCat("btf_trace_", tracepoint);
    const int id = btf__find_by_name_kind(types, type.c_str(), BTF_KIND_TYPEDEF);
    if (id <= 0) return absl::StrCat("the kernel has no tracepoint ", tracepoint, " (6.16 has)");
    if (!LoadHarmless(BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, id).valid()) {
      return LoadRefused(errno);
    }
  }
  return "";
}

}  // namespace

std::vector<SocketTrial> TrySocketBackends() {
  const Btf types(btf__load_vmlinux_btf());
  if (types == nullptr) {
    const std::string why = "the kernel's BTF cannot be read";
    return {{"fentry", why}, {"kprobe", why}, {"tracepoint", why}};
  }
  return {{"fentry", TryFentry(types.get())},
          {"kprobe", TryKprobe()},
          {"tracepoint", TryTracepoint(types.get())}};
}

}  // namespace tokenwatch
