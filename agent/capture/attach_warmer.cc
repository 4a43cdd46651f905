#include "agent/capture/attach_warmer.h"

#include <bpf/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "agent/capture/uprobe_multi.h"

namespace tokenwatch {
namespace {

constexpr uint64_t kPauseNs = 10'000'000;  // it stays warm for longer than this
constexpr int kMaxOpen = 8;                // each close takes some 60 ms
constexpr char kInstructions[] = "\x90\x90\x90\x90";

}  // namespace

AttachWarmer::AttachWarmer(KernelPrograms* programs) : programs_(programs) {
  file_ = UniqueFd(memfd_create("tokenwatch-warmer", MFD_CLOEXEC));
  if (file_.valid() && write(file_.get(), kInstructions, sizeof(kInstructions)) < 0) {
    file_ = UniqueFd();
  }
}

void AttachWarmer::Warm(uint64_t now_ns) {
  uint64_t before = warmed_ns_;
  if (!file_.valid() || now_ns < before + kPauseNs || open_ >= kMaxOpen ||
      !warmed_ns_.compare_exchange_strong(before, now_ns)) {
    return;
  }
  ++open_;
  attacher_.Later([this] {
    closer_.Later([this, attached = Attach()]() mutable {
      attached = {};
      --open_;
    });
  });
}

AttachWarmer::Attached AttachWarmer::Attach() const {
  const std::string path = absl::StrCat("/proc/self/fd/", file_.get());
  const tw_tls_skel& tls = programs_->tls();
  Attached attached;
  // Where it fails the next probe takes as long as it does: nothing to tell.
  if (programs_->has_uprobe_multi()) {
    const uint64_t offset = 0, cookie = 0;
    absl::StatusOr<UniqueFd> link =
        LinkUprobeMulti(bpf_program__fd(tls.progs.tw_tls_entry), path, absl::MakeSpan(&offset, 1),
                        absl::MakeSpan(&cookie, 1), /*at_return=*/false);
    if (link.ok()) attached.many = *std::move(link);
  } else {
    LIBBPF_OPTS(bpf_uprobe_opts, options);
    attached.one.reset(bpf_program__attach_uprobe_opts(
        programs_->has_cookie() ? tls.progs.tw_tls_entry : tls.progs.tw_tls_free, -1, path.c_str(),
        0, &options));
  }
  return attached;
}

}  // namespace tokenwatch
