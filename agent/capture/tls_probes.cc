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

bool HasEntry(tw_function function) { return function != TW_FUNCTION_NEW; }

// Reads and writes are finished at their returns; SSL_new is only known there.
bool HasExit(tw_function function) {
  return function != TW_FUNCTION_CLEAR && function != TW_FUNCTION_FREE &&
         function != TW_FUNCTION_PAST_API;
}

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
    case TW_FUNCTION_CLEAR:
      return tls.progs.tw_tls_clear;
    case TW_FUNCTION_FREE:
      return tls.progs.tw_tls_free;
    case TW_FUNCTION_PAST_API:
      return tls.progs.tw_tls_past_api;
    case TW_FUNCTION_NEW:
      break;
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

TlsProbes::TlsProbes(KernelPrograms* programs, bool public_only)
    : programs_(programs), public_only_(public_only) {}

TlsProbes::~TlsProbes() = default;

absl::Status TlsProbes::AttachTogether(const std::string& file, absl::Span<const Probe> probes,
                                       Library* library) const {
  const tw_tls_skel& tls = programs_->tls();
  std::vector<uint64_t> entries, entry_cookies, exits, exit_cookies;
  for (const Probe& probe : probes) {
    const tw_function function = probe.site.function;
    const uint64_t cookie = TW_COOKIE(function, probe.slot);
    if (HasEntry(function)) {
      entries.push_back(probe.site.offset);
      entry_cookies.push_back(cookie);
    }
    if (HasExit(function)) {
      exits.push_back(probe.site.offset);
      exit_cookies.push_back(cookie);
    }
  }
  // The returns first: an entry without its return would leave records behind.
  for (const bool at_return : {true, false}) {
    const std::vector<uint64_t>& offsets = at_return ? exits : entries;
    if (offsets.empty()) continue;
    absl::StatusOr<UniqueFd> link =
        LinkUprobeMulti(bpf_program__fd(at_return ? tls.progs.tw_tls_exit : tls.progs.tw_tls_entry),
                        file, offsets, at_return ? exit_cookies : entry_cookies, at_return);
    if (!link.ok()) return link.status();
    library->links.push_back(*std::move(link));
  }
  return absl::OkStatus();
}

absl::Status TlsProbes::AttachAlone(const std::string& file, Probe* probe) const {
  const tw_tls_skel& tls = programs_->tls();
  const tw_function function = probe->site.function;
  LIBBPF_OPTS(bpf_uprobe_opts, options);
  if (programs_->has_cookie()) options.bpf_cookie = TW_COOKIE(function, probe->slot);
  if (HasExit(function)) {
    options.retprobe = true;
    const bpf_program* program = programs_->has_cookie()       ? tls.progs.tw_tls_exit
                                 : function == TW_FUNCTION_NEW ? tls.progs.tw_tls_new
                                                               : tls.progs.tw_tls_return;
    probe->exit.reset(
        bpf_program__attach_uprobe_opts(program, -1, file.c_str(), probe->site.offset, &options));
    if (probe->exit == nullptr) {
      return KernelError(-errno, absl::StrCat("attaching to the return of ", probe->site.place));
    }
  }
  if (HasEntry(function)) {
    options.retprobe = false;
    const bpf_program* program =
        programs_->has_cookie() ? tls.progs.tw_tls_entry : EntryProgram(tls, function);
    probe->entry.reset(
        bpf_program__attach_uprobe_opts(program, -1, file.c_str(), probe->site.offset, &options));
    if (probe->entry == nullptr) {
      return KernelError(-errno, absl::StrCat("attaching to ", probe->site.place));
    }
  }
  return absl::OkStatus();
}

absl::Status TlsProbes::AttachAll(bool public_only, Library* library) {
  std::vector<Probe> probes;
  for (ProbeSite& site :
       ChooseSites(library->file.get(), library->symbols, *library->row, public_only)) {
    Probe& probe = probes.emplace_back();
    probe.site = std::move(site);
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
    const absl::Status status = AttachAll(public_only_, &library);
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
    // Without cookies all probes share a slot, and whichever misfits, all of them are doubted.
    if (std::none_of(library.probes.begin(), library.probes.end(), [&](const Probe& probe) {
          return probe.site.internal && Count(probe.slot).misfits != 0;
        })) {
      continue;
    }
    ++disproved_;
    Log(LogLevel::kWarning, library.path,
        ": the function behind the public ones is not what it was taken for; probing these");
    library.links.clear();
    library.probes.clear();
    const absl::Status status = AttachAll(/*public_only=*/true, &library);
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
  uint64_t libraries = 0, probes = 0;
  for (const auto& [id, library] : files_) {
    libraries += library.probes.empty() ? 0 : 1;
    probes += library.probes.size();
  }
  (*counters)["libraries_probed"] = libraries;
  (*counters)["probes_attached"] = probes;
}

}  // namespace tokenwatch
