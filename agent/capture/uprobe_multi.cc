#include "agent/capture/uprobe_multi.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "agent/capture/capabilities.h"

namespace tokenwatch {
namespace {

constexpr uint32_t kReturnFlag = 1;  // BPF_F_UPROBE_MULTI_RETURN

// The part of union bpf_attr that BPF_LINK_CREATE reads for this link type.
struct LinkCreate {
  uint32_t program, target;
  uint32_t attach_type, flags;
  uint64_t path, offsets, reference_counters, cookies;
  uint32_t count, multi_flags, pid, padding;
};

int CreateLink(int program, const char* path, const uint64_t* offsets, const uint64_t* cookies,
               size_t count, uint32_t flags) {
  LinkCreate attributes = {};
  attributes.program = static_cast<uint32_t>(program);
  attributes.attach_type = kTraceUprobeMulti;
  attributes.path = reinterpret_cast<uint64_t>(path);
  attributes.offsets = reinterpret_cast<uint64_t>(offsets);
  attributes.cookies = reinterpret_cast<uint64_t>(cookies);
  attributes.count = static_cast<uint32_t>(count);
  attributes.multi_flags = flags;
  return static_cast<int>(syscall(SYS_bpf, BPF_LINK_CREATE, &attributes, sizeof(attributes)));
}

}  // namespace

bool HasUprobeMulti() {
  // r0 = 0; exit
  const bpf_insn instructions[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0},
                                   {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  LIBBPF_OPTS(bpf_prog_load_opts, options);
  options.expected_attach_type = static_cast<bpf_attach_type>(kTraceUprobeMulti);
  const UniqueFd program(
      bpf_prog_load(BPF_PROG_TYPE_KPROBE, nullptr, "GPL", instructions, 2, &options));
  if (!program.valid()) return false;
  // A directory cannot be probed: EBADF says so, EINVAL that the link type is not known.
  const uint64_t offset = 0;
  const UniqueFd link(CreateLink(program.get(), "/", &offset, nullptr, 1, 0));
  return !link.valid() && errno == EBADF;
}

absl::StatusOr<UniqueFd> LinkUprobeMulti(int program, const std::string& path,
                                         absl::Span<const uint64_t> offsets,
                                         absl::Span<const uint64_t> cookies, bool at_return) {
  UniqueFd link(CreateLink(program, path.c_str(), offsets.data(), cookies.data(), offsets.size(),
                           at_return ? kReturnFlag : 0));
  if (!link.valid()) {
    return KernelError(-errno, absl::StrCat("attaching ", offsets.size(), " probes"));
  }
  return link;
}

}  // namespace tokenwatch
