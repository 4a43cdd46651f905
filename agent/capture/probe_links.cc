#include "agent/capture/probe_links.h"

#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "agent/capture/capabilities.h"
#include "agent/capture/uprobe_multi.h"
#include "bpf/function.h"

namespace tokenwatch {
namespace {

bpf_program* EntryProgram(const tw_tls_skel& tls, tw_function function) {
  switch (function) {
    case TW_FUNCTION_WRITE:
      return tls.progs.tw_tls_write;
    case TW_FUNCTION_WRITE_EX:
      return tls.progs.tw_tls_write_ex;
    case TW_FUNCTION_WRITE_EX2:
      return tls.progs.tw_tls_write_ex2;
    case TW_FUNCTION_READ:
      return tls.progs.tw_tls_read;
    case TW_FUNCTION_READ_EX:
      return tls.progs.tw_tls_read_ex;
    case TW_FUNCTION_BEGIN:
      return tls.progs.tw_tls_begin;
    case TW_FUNCTION_FREE:
      return tls.progs.tw_tls_free;
    case TW_FUNCTION_PAST_API:
      return tls.progs.tw_tls_past_api;
  }
  return nullptr;
}

}  // namespace

bool HasExit(tw_function function) {
  return function != TW_FUNCTION_BEGIN && function != TW_FUNCTION_FREE &&
         function != TW_FUNCTION_PAST_API;
}

bool NeedsKernelReturn(const ProbeSite& site) {
  return HasExit(site.function) && site.returns.sites.empty();
}

absl::Status AttachTogether(KernelPrograms& programs, const std::string& file,
                            absl::Span<const TlsProbe> probes, std::vector<UniqueFd>* links) {
  const tw_tls_skel& tls = programs.tls();
  // Returns before entries: an entry without its return would leave records behind.
  struct Group {
    bpf_program* program;
    bool at_return;  // the kernel's return probe
    std::vector<uint64_t> offsets = {}, cookies = {};
  } groups[] = {{tls.progs.tw_tls_exit, true},
                {tls.progs.tw_tls_exit, false},
                {tls.progs.tw_tls_entry, false}};
  auto& [kernel_returns, returns, entries] = groups;
  const auto add = [](Group& group, uint64_t offset, uint64_t cookie) {
    group.offsets.push_back(offset);
    group.cookies.push_back(cookie);
  };
  for (const TlsProbe& probe : probes) {
    const ProbeSite& site = probe.site;
    const uint64_t cookie = TW_COOKIE(site.function, probe.slot);
    add(entries, site.offset, cookie);
    for (const ReturnSite& at : site.returns.sites) {
      // One that leaps to another has the other's returns: once is enough.
      if (std::find(returns.offsets.begin(), returns.offsets.end(), at.offset) !=
          returns.offsets.end()) {
        continue;
      }
      add(returns, at.offset, at.at_return ? cookie | TW_COOKIE_AT_RETURN : cookie);
    }
    if (NeedsKernelReturn(site)) {
      add(kernel_returns, site.offset, cookie);
    }
  }
  for (const Group& group : groups) {
    if (group.offsets.empty()) continue;
    absl::StatusOr<UniqueFd> link = LinkUprobeMulti(bpf_program__fd(group.program), file,
                                                    group.offsets, group.cookies, group.at_return);
    if (!link.ok()) return link.status();
    links->push_back(*std::move(link));
  }
  return absl::OkStatus();
}

absl::Status AttachAlone(KernelPrograms& programs, const std::string& file, TlsProbe* probe) {
  const tw_tls_skel& tls = programs.tls();
  const ProbeSite& site = probe->site;
  const bool has_cookie = programs.has_cookie();
  const auto attach = [&](const bpf_program* program, uint64_t offset, uint64_t flags,
                          bool at_return) -> absl::Status {
    LIBBPF_OPTS(bpf_uprobe_opts, options);
    if (has_cookie) options.bpf_cookie = TW_COOKIE(site.function, probe->slot) | flags;
    options.retprobe = at_return;
    Link link(bpf_program__attach_uprobe_opts(program, -1, file.c_str(), offset, &options));
    if (link == nullptr) {
      return KernelError(-errno, absl::StrCat("attaching to ", at_return ? "the return of " : "",
                                              site.place, " (at offset ", offset, ")"));
    }
    probe->links.push_back(std::move(link));
    return absl::OkStatus();
  };
  absl::Status status;
  for (const ReturnSite& at : site.returns.sites) {
    const bpf_program* program = has_cookie     ? tls.progs.tw_tls_exit
                                 : at.at_return ? tls.progs.tw_tls_at_return
                                                : tls.progs.tw_tls_return;
    status.Update(attach(program, at.offset, at.at_return ? TW_COOKIE_AT_RETURN : 0, false));
  }
  if (status.ok() && NeedsKernelReturn(site)) {
    status =
        attach(has_cookie ? tls.progs.tw_tls_exit : tls.progs.tw_tls_return, site.offset, 0, true);
  }
  if (status.ok()) {
    status = attach(has_cookie ? tls.progs.tw_tls_entry : EntryProgram(tls, site.function),
                    site.offset, 0, false);
  }
  if (!status.ok()) probe->links.clear();
  return status;
}

}  // namespace tokenwatch
