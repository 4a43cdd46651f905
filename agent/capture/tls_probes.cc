#include "agent/capture/tls_probes.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "agent/capture/capabilities.h"
#include "agent/capture/uprobe_multi.h"
#include "agent/common/log.h"

namespace tokenwatch {
namespace {

constexpr uint32_t kSlots = 4096;            // of the map tw_hits
constexpr size_t kRememberedFiles = 100000;  // files that are no TLS library

// Reads and writes are finished at their returns.
bool HasExit(tw_function function) {
  return function != TW_FUNCTION_BEGIN && function != TW_FUNCTION_FREE &&
         function != TW_FUNCTION_PAST_API;
}

// A library's return sites are doubted where this many returns were missed, and more than one in
// ten.
constexpr uint64_t kDoubtedReturns = 16;

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

absl::StatusOr<FileId> IdentifyFile(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return KernelError(-errno, "looking at a file");
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError("not a regular file");
  FileId id;
  id.device = info.st_dev;
  id.inode = info.st_ino;
  id.changed_ns = info.st_ctim.tv_sec * 1'000'000'000LL + info.st_ctim.tv_nsec;
  int generation = 0;
  // Not every file system has generations; the change time has to do there.
  if (ioctl(fd, FS_IOC_GETVERSION, &generation) == 0) id.generation = generation;
  return id;
}

TlsProbes::TlsProbes(KernelPrograms* programs, const ProbePolicy& policy)
    : programs_(programs), policy_(policy) {}

TlsProbes::~TlsProbes() = default;

absl::Status TlsProbes::AttachTogether(const std::string& file, absl::Span<const Probe> probes,
                                       Library* library) const {
  const tw_tls_skel& tls = programs_->tls();
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
  for (const Probe& probe : probes) {
    const ProbeSite& site = probe.site;
    const uint64_t cookie = TW_COOKIE(site.function, probe.slot);
    add(entries, site.offset, cookie);
    for (const ReturnSite& at : site.returns.sites) {
      add(returns, at.offset, at.at_return ? cookie | TW_COOKIE_AT_RETURN : cookie);
    }
    if (HasExit(site.function) && site.returns.sites.empty()) {
      add(kernel_returns, site.offset, cookie);
    }
  }
  for (const Group& group : groups) {
    if (group.offsets.empty()) continue;
    absl::StatusOr<UniqueFd> link = LinkUprobeMulti(bpf_program__fd(group.program), file,
                                                    group.offsets, group.cookies, group.at_return);
    if (!link.ok()) return link.status();
    library->links.push_back(*std::move(link));
  }
  return absl::OkStatus();
}

absl::Status TlsProbes::AttachAlone(const std::string& file, Probe* probe) const {
  const tw_tls_skel& tls = programs_->tls();
  const ProbeSite& site = probe->site;
  const bool has_cookie = programs_->has_cookie();
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
  if (status.ok() && HasExit(site.function) && site.returns.sites.empty()) {
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

absl::Status TlsProbes::AttachAll(Library* library) {
  std::vector<Probe> probes;
  for (ProbeSite& site : ChooseSites(library->file.get(), library->symbols, *library->row,
                                     library->policy.public_only)) {
    Probe& probe = probes.emplace_back();
    probe.site = std::move(site);
    if (library->policy.kernel_returns) probe.site.returns = {{}, "sites for returns are off"};
    if (programs_->has_cookie() && next_slot_ < kSlots) probe.slot = next_slot_++;
  }
  // The link of the open file reaches it wherever it is, and when it has no name any more.
  const std::string file = absl::StrCat("/proc/self/fd/", library->file.get());
  if (programs_->has_uprobe_multi() && AttachTogether(file, probes, library).ok()) {
    library->probes = std::move(probes);
    return absl::OkStatus();
  }
  // One by one, so that a function that cannot be probed keeps none of the others away.
  library->links.clear();
  absl::Status first_error;
  for (Probe& probe : probes) {
    const absl::Status status = programs_->has_uprobe_multi()
                                    ? AttachTogether(file, absl::MakeConstSpan(&probe, 1), library)
                                    : AttachAlone(file, &probe);
    if (status.ok()) {
      library->probes.push_back(std::move(probe));
      continue;
    }
    ++failed_;
    first_error.Update(status);
    Log(LogLevel::kWarning, library->path, ": ", status.message());
  }
  return library->probes.empty() ? first_error : absl::OkStatus();
}

absl::StatusOr<bool> TlsProbes::Consider(int fd, const std::string& path) {
  absl::StatusOr<FileId> id = IdentifyFile(fd);
  if (!id.ok()) return id.status();
  absl::MutexLock lock(&mutex_);
  if (const auto known = files_.find(*id); known != files_.end()) {
    return !known->second.probes.empty();
  }
  ++examined_;
  if (files_.size() >= kRememberedFiles) {
    absl::erase_if(files_, [](const auto& file) { return file.second.probes.empty(); });
  }
  Library& library = files_[*id];
  library.path = path;
  static const auto& names = *new std::vector<std::string>(TlsSymbolNames());
  absl::StatusOr<ElfSymbols> found = FindFunctions(fd, names);
  if (!found.ok()) return false;
  for (const TlsLibrary& row : TlsLibraries()) {
    if (!std::all_of(row.markers.begin(), row.markers.end(),
                     [&](const char* marker) { return found->functions.contains(marker); })) {
      continue;
    }
    library.row = &row;
    library.symbols = *std::move(found);
    library.file = UniqueFd(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!library.file.valid()) return KernelError(-errno, "keeping a library's file");
    library.policy = policy_;
    const absl::Status status = AttachAll(&library);
    if (!status.ok()) return status;
    Log(LogLevel::kDebug, "probing ", row.name, " in ", path);
    return true;
  }
  return false;
}

tw_probe_count TlsProbes::Count(uint32_t slot) const {
  tw_probe_count count = {};
  bpf_map_lookup_elem(bpf_map__fd(programs_->process().maps.tw_hits), &slot, &count);
  return count;
}

void TlsProbes::CheckSites() {
  absl::MutexLock lock(&mutex_);
  for (auto& [id, library] : files_) {
    bool entries = true, returns = true;
    // Without cookies all probes share a slot, and whichever is wrong, all of them are doubted.
    for (const Probe& probe : library.probes) {
      const tw_probe_count count = Count(probe.slot);
      if (probe.site.internal && count.misfits != 0) entries = false;
      if (!probe.site.returns.sites.empty() && count.missed > kDoubtedReturns &&
          count.missed > count.returns / 10) {
        returns = false;
      }
    }
    if (entries && returns) continue;
    if (!entries) {
      ++disproved_;
      library.policy.public_only = true;
      Log(LogLevel::kWarning, library.path,
          ": the function behind the public ones is not what it was taken for; probing these");
    } else {
      ++returns_disproved_;
      library.policy.kernel_returns = true;
      Log(LogLevel::kWarning, library.path,
          ": returns went past the sites that were chosen for them; using the kernel's probes");
    }
    library.links.clear();
    library.probes.clear();
    const absl::Status status = AttachAll(&library);
    if (!status.ok()) Log(LogLevel::kWarning, library.path, ": ", status.message());
  }
}

std::vector<ProbeStatus> TlsProbes::Status() const {
  absl::MutexLock lock(&mutex_);
  std::vector<ProbeStatus> status;
  for (const auto& [id, library] : files_) {
    for (const Probe& probe : library.probes) {
      const ProbeSite& site = probe.site;
      ProbeStatus& row = status.emplace_back();
      row.library = library.row->name;
      row.file = library.path;
      for (const TlsSymbol* symbol : site.symbols) row.symbols.emplace_back(symbol->name);
      row.symbol = row.symbols.front();
      row.site = site.place;
      row.reason = site.reason;
      row.emulated = site.emulated;
      row.offset = site.offset;
      row.hits_known = probe.slot != 0;
      if (row.hits_known) row.hits = Count(probe.slot).hits;
      row.returns = !HasExit(site.function)      ? "none needed"
                    : site.returns.sites.empty() ? "kernel"
                                                 : "sites";
      row.returns_reason = site.returns.reason;
      for (const ReturnSite& at : site.returns.sites) {
        row.return_offsets.push_back(at.offset);
        row.stepped_returns += at.is_emulated ? 0 : 1;
      }
    }
  }
  std::sort(status.begin(), status.end(), [](const ProbeStatus& a, const ProbeStatus& b) {
    return std::tie(a.file, a.offset) < std::tie(b.file, b.offset);
  });
  return status;
}

void TlsProbes::AddCounters(Counters* counters) const {
  absl::MutexLock lock(&mutex_);
  (*counters)["files_examined"] = examined_;
  (*counters)["probes_failed_unseen"] = failed_;
  (*counters)["sites_disproved"] = disproved_;
  (*counters)["return_sites_disproved"] = returns_disproved_;
  uint64_t libraries = 0, probes = 0, kernel_returns = 0;
  for (const auto& [id, library] : files_) {
    libraries += library.probes.empty() ? 0 : 1;
    probes += library.probes.size();
    for (const Probe& probe : library.probes) {
      kernel_returns += HasExit(probe.site.function) && probe.site.returns.sites.empty() ? 1 : 0;
    }
  }
  (*counters)["libraries_probed"] = libraries;
  (*counters)["probes_attached"] = probes;
  (*counters)["kernel_return_probes"] = kernel_returns;
}

}  // namespace tokenwatch
