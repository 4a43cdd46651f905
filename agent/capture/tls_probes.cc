#include "agent/capture/tls_probes.h"

#include <bpf/bpf.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "absl/strings/str_cat.h"
#include "agent/capture/capabilities.h"
#include "agent/capture/elf_symbols.h"
#include "agent/capture/tls_libraries.h"
#include "agent/common/log.h"

namespace tokenwatch {
namespace {

constexpr uint32_t kSlots = 4096;            // of the map tw_hits
constexpr size_t kRememberedFiles = 100000;  // files that are no TLS library

struct ProgramPair {
  bpf_program* entry = nullptr;
  bpf_program* exit = nullptr;
};

ProgramPair ProgramsFor(const tw_tls_skel& tls, TlsFunction function) {
  switch (function) {
    case TlsFunction::kWrite:
      return {tls.progs.tw_tls_write, tls.progs.tw_tls_return};
    case TlsFunction::kWriteEx:
      return {tls.progs.tw_tls_write_ex, tls.progs.tw_tls_return};
    case TlsFunction::kRead:
      return {tls.progs.tw_tls_read, tls.progs.tw_tls_return};
    case TlsFunction::kReadEx:
      return {tls.progs.tw_tls_read_ex, tls.progs.tw_tls_return};
    case TlsFunction::kNew:
      return {nullptr, tls.progs.tw_tls_new};
    case TlsFunction::kClear:
      return {tls.progs.tw_tls_clear, nullptr};
    case TlsFunction::kFree:
      return {tls.progs.tw_tls_free, nullptr};
    case TlsFunction::kPastApi:
      return {tls.progs.tw_tls_past_api, nullptr};
  }
  return {};
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

TlsProbes::TlsProbes(KernelPrograms* programs) : programs_(programs) {}

TlsProbes::~TlsProbes() = default;

absl::StatusOr<TlsProbes::Probe> TlsProbes::AttachOne(const TlsSymbol& symbol, int fd,
                                                      uint64_t offset) {
  Probe probe;
  probe.symbol = symbol.name;
  probe.offset = offset;
  if (programs_->has_cookie() && next_slot_ < kSlots) probe.slot = next_slot_++;
  const ProgramPair pair = ProgramsFor(programs_->tls(), symbol.function);
  // The link of the open file reaches it wherever it is, and when it has no name any more.
  const std::string path = absl::StrCat("/proc/self/fd/", fd);
  LIBBPF_OPTS(bpf_uprobe_opts, options);
  if (programs_->has_cookie()) options.bpf_cookie = probe.slot;
  // The return first: an entry without its return would leave records behind.
  if (pair.exit != nullptr) {
    options.retprobe = true;
    probe.exit.reset(
        bpf_program__attach_uprobe_opts(pair.exit, -1, path.c_str(), offset, &options));
    if (probe.exit == nullptr) {
      return KernelError(-errno, absl::StrCat("attaching to the return of ", symbol.name));
    }
  }
  if (pair.entry != nullptr) {
    options.retprobe = false;
    probe.entry.reset(
        bpf_program__attach_uprobe_opts(pair.entry, -1, path.c_str(), offset, &options));
    if (probe.entry == nullptr) {
      return KernelError(-errno, absl::StrCat("attaching to ", symbol.name));
    }
  }
  return probe;
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
  const absl::StatusOr<std::map<std::string, uint64_t>> found = FindFunctions(fd, names);
  if (!found.ok()) return false;
  absl::Status first_error;
  for (const TlsLibrary& row : TlsLibraries()) {
    if (!std::all_of(row.markers.begin(), row.markers.end(),
                     [&](const char* marker) { return found->contains(marker); })) {
      continue;
    }
    library.name = row.name;
    for (const TlsSymbol& symbol : row.symbols) {
      const auto at = found->find(symbol.name);
      if (at == found->end()) continue;
      absl::StatusOr<Probe> probe = AttachOne(symbol, fd, at->second);
      if (probe.ok()) {
        library.probes.push_back(*std::move(probe));
      } else {
        ++failed_;
        first_error.Update(probe.status());
        Log(LogLevel::kWarning, path, ": ", probe.status().message());
      }
    }
    if (library.probes.empty()) return first_error;
    Log(LogLevel::kDebug, "probing ", library.name, " in ", path);
    return true;
  }
  return false;
}

std::vector<ProbeStatus> TlsProbes::Status() const {
  absl::MutexLock lock(&mutex_);
  const int hits = bpf_map__fd(programs_->process().maps.tw_hits);
  std::vector<ProbeStatus> status;
  for (const auto& [id, library] : files_) {
    for (const Probe& probe : library.probes) {
      ProbeStatus row{library.name, library.path, probe.symbol, probe.offset, 0, probe.slot != 0};
      if (probe.slot != 0) bpf_map_lookup_elem(hits, &probe.slot, &row.hits);
      status.push_back(std::move(row));
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
  uint64_t libraries = 0, probes = 0;
  for (const auto& [id, library] : files_) {
    libraries += library.probes.empty() ? 0 : 1;
    probes += library.probes.size();
  }
  (*counters)["libraries_probed"] = libraries;
  (*counters)["probes_attached"] = probes;
}

}  // namespace tokenwatch
