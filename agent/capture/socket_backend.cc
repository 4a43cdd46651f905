#include "agent/capture/socket_backend.h"

#include <bpf/btf.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "agent/capture/capabilities.h"

namespace tokenwatch {
namespace {

struct BackendRow {
  const char* name;
  std::vector<const char*> sections;  // beginnings of the section names of its programs
  const char* blind_to;
};

const std::vector<BackendRow>& Rows() {
  static const auto& rows = *new std::vector<BackendRow>{
      {"fentry", {"fentry/", "fexit/"}, "MPTCP"},
      {"kprobe",
       {"kprobe/", "kretprobe/"},
       "returns beyond the kernel's limit of calls in flight, MPTCP"},
      {"tracepoint",
       {"tp_btf/tcp_sendmsg_locked", "tp_btf/sock_"},
       "plain HTTP received by recvmmsg, splice or io_uring, MPTCP"},
  };
  return rows;
}

// Programs of every backend: where connections begin and end.
constexpr const char* kCommon[] = {"tp_btf/inet_sock_set_state", "tp_btf/tcp_destroy_sock"};

bool Belongs(const BackendRow& row, const std::string& section) {
  for (const char* common : kCommon) {
    if (section == common) return true;
  }
  for (const char* prefix : row.sections) {
    if (absl::StartsWith(section, prefix)) return true;
  }
  return false;
}

// Arguments of a kernel function by BTF; -1 where there is no such function.
int CountArguments(const char* function) {
  btf* kernel = btf__load_vmlinux_btf();
  if (kernel == nullptr) return -1;
  int arguments = -1;
  const int id = btf__find_by_name_kind(kernel, function, BTF_KIND_FUNC);
  if (id > 0) {
    const btf_type* type = btf__type_by_id(kernel, btf__type_by_id(kernel, id)->type);
    if (type != nullptr) arguments = btf_vlen(type);
  }
  btf__free(kernel);
  return arguments;
}

// What sees requests comes last: one that is seen has to be followed by its answer.
absl::Status AttachPrograms(bpf_object* object, const BackendRow& row, std::vector<Link>* links,
                            std::vector<std::string>* sites) {
  for (const bool sends : {false, true}) {
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object) {
      const std::string section = bpf_program__section_name(program);
      if (!Belongs(row, section) || absl::StrContains(section, "send") != sends) continue;
      Link link(bpf_program__attach(program));
      if (link == nullptr) return KernelError(-errno, absl::StrCat("attaching to ", section));
      links->push_back(std::move(link));
      sites->push_back(section);
    }
  }
  return absl::OkStatus();
}

}  // namespace

const std::vector<std::string>& SocketBackendNames() {
  static const auto& names =
      *new std::vector<std::string>{"auto", "fentry", "kprobe", "tracepoint"};
  return names;
}

absl::StatusOr<std::unique_ptr<SocketBackend>> SocketBackend::Attach(const KernelPrograms& programs,
                                                                     const std::string& wanted) {
  std::vector<std::string> rejected;
  for (const BackendRow& row : Rows()) {
    if (wanted != "auto" && wanted != row.name) continue;
    auto backend = std::unique_ptr<SocketBackend>(new SocketBackend());
    absl::StatusOr<SocketObject> object = programs.OpenSocketObject();
    if (!object.ok()) return object.status();
    backend->object_ = *std::move(object);
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, backend->object_->obj) {
      bpf_program__set_autoload(program, Belongs(row, bpf_program__section_name(program)));
    }
    const int arguments = CountArguments("tcp_recvmsg");
    if (arguments > 0) backend->object_->rodata->tw_recvmsg_arguments = arguments;
    absl::Status status;
    const int error = tw_socket_skel__load(backend->object_.get());
    if (error != 0) {
      status = KernelError(error, "loading");
    } else {
      status = AttachPrograms(backend->object_->obj, row, &backend->links_, &backend->sites_);
    }
    if (status.ok()) {
      backend->name_ = row.name;
      backend->blind_to_ = row.blind_to;
      backend->rejected_ = absl::StrJoin(rejected, "; ");
      return backend;
    }
    rejected.push_back(absl::StrCat(row.name, ": ", status.message()));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "no way to watch TCP sockets on this kernel (", absl::StrJoin(rejected, "; "),
      "): it needs fentry (CONFIG_FUNCTION_TRACER), kprobes (CONFIG_KPROBES), or kernel 6.16"));
}

}  // namespace tokenwatch
