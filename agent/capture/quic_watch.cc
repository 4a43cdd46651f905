#include "agent/capture/quic_watch.h"

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/capture/capabilities.h"

namespace tokenwatch {
namespace {

struct BackendRow {
  const char* name;
  const char* section;  // beginning of its programs' section names
};
constexpr BackendRow kBackends[] = {
    {"fentry", "fentry/"}, {"kprobe", "kprobe/"}, {"tracepoint", "tp_btf/"}};

absl::Status LoadAndAttach(const KernelPrograms& programs, const BackendRow& row,
                           QuicObject* object, std::vector<Link>* links) {
  absl::StatusOr<QuicObject> opened = programs.OpenQuicObject();
  if (!opened.ok()) return opened.status();
  *object = *std::move(opened);
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, (*object)->obj) {
    bpf_program__set_autoload(program,
                              absl::StartsWith(bpf_program__section_name(program), row.section));
  }
  const int error = tw_quic_skel__load(object->get());
  if (error != 0) return KernelError(error, "loading");
  bpf_object__for_each_program(program, (*object)->obj) {
    if (!bpf_program__autoload(program)) continue;
    Link link(bpf_program__attach(program));
    if (link == nullptr) {
      return KernelError(-errno, absl::StrCat("attaching to ", bpf_program__section_name(program)));
    }
    links->push_back(std::move(link));
  }
  return absl::OkStatus();
}

}  // namespace

std::unique_ptr<QuicWatch> QuicWatch::Attach(const KernelPrograms& programs) {
  auto watch = std::unique_ptr<QuicWatch>(new QuicWatch());
  std::vector<std::string> rejected;
  for (const BackendRow& row : kBackends) {
    const absl::Status status = LoadAndAttach(programs, row, &watch->object_, &watch->links_);
    if (status.ok()) {
      watch->name_ = row.name;
      break;
    }
    watch->links_.clear();
    rejected.push_back(absl::StrCat(row.name, ": ", status.message()));
  }
  watch->rejected_ = absl::StrJoin(rejected, "; ");
  return watch;
}

}  // namespace tokenwatch
