#include "agent/capture/tls_probes.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <thread>
#include <tuple>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/capture/capabilities.h"
#include "agent/common/clock.h"
#include "agent/common/log.h"

namespace tokenwatch {
namespace {

constexpr uint32_t kSlots = 4096;           // of the map tw_hits
constexpr size_t kRememberedFiles = 16384;  // files that are no TLS library
constexpr size_t kClosingThreads = 16;

constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kCheckNs = 2 * kSecondNs;     // between two looks for a library's users
constexpr uint64_t kIdleNs = 30 * kSecondNs;     // without users, before the probes go
constexpr uint64_t kUnusedNs = 600 * kSecondNs;  // the same for a file that never had any
constexpr size_t kMaxUnused = 256;               // of such files
constexpr size_t kChecksARun = 64;
constexpr uint64_t kAwaitedNs = 60 * kSecondNs;  // a writer's time, then the next mapping tells
// What is new comes in company: after a program that nobody has run before come others, and with
// each its libraries.
constexpr uint64_t kNoveltyNs = 5 * kSecondNs;

// Descriptors that a library takes: its file, and its links; without links of many probes some 30
// perf events and their links.
constexpr size_t kDescriptors = 4, kDescriptorsAlone = 64;
constexpr size_t kDescriptorsForOthers = 256;
constexpr size_t kMaxLibraries = 4096;

size_t MaxLibraries(bool has_uprobe_multi) {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = 1024;
  const size_t left = limit.rlim_cur - std::min<size_t>(limit.rlim_cur, kDescriptorsForOthers);
  return std::min(kMaxLibraries, left / (has_uprobe_multi ? kDescriptors : kDescriptorsAlone));
}

int64_t Nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000LL + time.tv_nsec; }

// A library's return sites are doubted where this many returns were missed, and more than one in
// ten.
constexpr uint64_t kDoubtedReturns = 16;

// The file once more, on a mount of its own that no namespace has: an open file and a probe's link
// would keep the one on which it was found from being unmounted. Invalid where that is in another
// mount namespace.
UniqueFd OpenApart(int fd) {
  const UniqueFd tree(static_cast<int>(
      syscall(SYS_open_tree, fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  if (!tree.valid()) return UniqueFd();
  return UniqueFd(
      open(absl::StrCat("/proc/self/fd/", tree.get()).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
}

// The mount that an open file is on; 0 where that is not known.
int MountId(int fd) {
  std::ifstream info(absl::StrCat("/proc/self/fdinfo/", fd));
  for (std::string name; info >> name;) {
    int id = 0;
    if (name == "mnt_id:" && info >> id) return id;
  }
  return 0;
}

}  // namespace

TlsProbes::TlsProbes(KernelPrograms* programs, InodeReader* inodes, const ProbePolicy& policy)
    : programs_(programs),
      inodes_(inodes),
      policy_(policy),
      max_libraries_(MaxLibraries(programs->has_uprobe_multi())),
      warmer_(programs),
      guard_([this] { return MakeWay(); }) {}

TlsProbes::~TlsProbes() {
  std::vector<Library> libraries;
  {
    absl::MutexLock lock(&mutex_);
    for (auto& [id, library] : libraries_) libraries.push_back(std::move(library));
    for (auto& [id, library] : retired_) libraries.push_back(std::move(library));
    libraries_.clear();
    retired_.clear();
  }
  // Closes that wait together wait as long as one.
  std::vector<std::thread> threads;
  std::atomic<size_t> next{0};
  for (size_t i = 0; i < std::min(libraries.size(), kClosingThreads); ++i) {
    threads.emplace_back([&] {
      for (size_t at = next++; at < libraries.size(); at = next++) {
        // The file last: until then nobody writes to it.
        libraries[at].links.clear();
        libraries[at].probes.clear();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

absl::Status TlsProbes::AttachAll(Library* library) {
  std::vector<Probe> probes, refused;
  for (ProbeSite& site : ChooseSites(library->file.get(), library->symbols, *library->row,
                                     library->policy.public_only)) {
    Probe probe;
    probe.site = std::move(site);
    if (library->policy.kernel_returns && HasExit(probe.site.function)) {
      probe.site.returns = {{}, "sites for returns are off"};
    }
    // A call whose return is not seen tells nothing, and would be remembered for long.
    probe.is_refused = NeedsKernelReturn(probe.site) && !library->policy.returns_refused.empty();
    if (probe.is_refused) {
      ++returns_refused_;
      refused.push_back(std::move(probe));
      continue;
    }
    probe.slot = TakeSlot();
    probes.push_back(std::move(probe));
  }
  if (probes.empty() && refused.empty()) {
    return absl::FailedPreconditionError("its symbols are not where its functions begin");
  }
  const auto keep_refused = [&] {
    std::move(refused.begin(), refused.end(), std::back_inserter(library->probes));
    return absl::OkStatus();
  };
  // The link of the open file reaches it wherever it is, and when it has no name any more.
  const std::string file = absl::StrCat("/proc/self/fd/", library->file.get());
  if (programs_->has_uprobe_multi() &&
      AttachTogether(*programs_, file, probes, &library->links).ok()) {
    library->probes = std::move(probes);
    return keep_refused();
  }
  // One by one, so that a function that cannot be probed keeps none of the others away.
  library->links.clear();
  absl::Status first_error;
  for (Probe& probe : probes) {
    const absl::Status status =
        programs_->has_uprobe_multi()
            ? AttachTogether(*programs_, file, absl::MakeConstSpan(&probe, 1), &library->links)
            : AttachAlone(*programs_, file, &probe);
    if (status.ok()) {
      library->probes.push_back(std::move(probe));
      continue;
    }
    ++failed_;
    FreeSlots(absl::MakeConstSpan(&probe, 1));
    first_error.Update(status);
    Log(LogLevel::kWarning, library->path, ": ", status.message());
  }
  return library->probes.empty() && refused.empty() ? first_error : keep_refused();
}

absl::StatusOr<TlsProbes::Stamp> TlsProbes::StampOf(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return KernelError(-errno, "looking at a file");
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError("not a regular file");
  return Stamp{Nanoseconds(info.st_ctim), Nanoseconds(info.st_mtim), info.st_size};
}

bool TlsProbes::HasNewContent(const Library& library, const Stamp& stamp) {
  if (stamp == library.stamp) return false;
  if (stamp.modified_ns != library.stamp.modified_ns || stamp.size != library.stamp.size) {
    return true;
  }
  // A new name or mode; or a copy over the file that kept the time of the original.
  const absl::StatusOr<ElfSymbols> found = FindFunctions(library.file.get(), TlsSymbolNames());
  return !found.ok() || found->functions != library.symbols.functions;
}

absl::StatusOr<bool> TlsProbes::Consider(int fd, const std::string& path,
                                         const Sighting& sighting) {
  const absl::StatusOr<Stamp> stamp = StampOf(fd);
  if (!stamp.ok()) return stamp.status();
  if (!IsElf(fd)) return false;
  const absl::StatusOr<InodeFacts> inode = inodes_->Read(fd);
  if (!inode.ok()) return inode.status();
  absl::MutexLock lock(&mutex_);
  // Probes that are on their way out would fire beside new ones.
  const auto is_settled = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !(closing_ == inode->id);
  };
  mutex_.Await(absl::Condition(&is_settled));
  if (const auto retired = retired_.find(inode->id); retired != retired_.end()) {
    libraries_.emplace(inode->id, std::move(retired->second));
    retired_.erase(retired);
  }
  const auto known = libraries_.find(inode->id);
  if (known == libraries_.end()) return Examine(fd, path, inode->id, *stamp, sighting);
  Library& library = known->second;
  if (HasNewContent(library, *stamp)) {
    Detach(&library);
    libraries_.erase(known);
    return Examine(fd, path, inode->id, *stamp, sighting);
  }
  library.stamp = *stamp;
  library.is_lasting |= sighting.is_lasting;
  if (sighting.is_mapped) {
    library.idle_ns = 0;
    // While it was written it may have had another name.
    if (!library.was_mapped) library.path = path;
    library.was_mapped = true;
  }
  return true;
}

absl::StatusOr<bool> TlsProbes::Examine(int fd, const std::string& path, const FileId& id,
                                        const Stamp& stamp, const Sighting& sighting) {
  if (others_.contains({id, stamp})) return false;
  ++examined_;
  if (sighting.is_mapped) novelty_ns_ = sighting.now_ns;
  static const auto& names = *new std::vector<std::string>(TlsSymbolNames());
  absl::StatusOr<ElfSymbols> found = FindFunctions(fd, names);
  const auto row =
      std::find_if(TlsLibraries().begin(), TlsLibraries().end(), [&](const TlsLibrary& each) {
        return found.ok() &&
               std::all_of(each.markers.begin(), each.markers.end(),
                           [&](const char* marker) { return found->functions.contains(marker); });
      });
  absl::Status status;
  if (row != TlsLibraries().end()) {
    if (libraries_.size() >= max_libraries_) {
      ++refused_;
      return absl::ResourceExhaustedError("too many TLS libraries are probed already");
    }
    Library library;
    library.row = &*row;
    library.path = path;
    library.symbols = *std::move(found);
    library.stamp = stamp;
    library.is_lasting = sighting.is_lasting;
    library.was_mapped = sighting.is_mapped;
    library.idle_ns = sighting.is_mapped ? 0 : sighting.now_ns;
    library.checked_ns = sighting.now_ns;
    library.policy = policy_;
    library.file = OpenApart(fd);
    if (library.file.valid()) {
      library.mount_id = MountId(fd);
    } else {
      library.file = UniqueFd(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    }
    if (!library.file.valid()) return KernelError(-errno, "keeping a library's file");
    library.is_guarded = guard_.Guard(library.file.get());
    if (const absl::StatusOr<Stamp> now = StampOf(fd); now.ok() && *now != stamp) {
      return Examine(fd, path, id, *now, sighting);
    }
    const uint64_t read_ns = RealClock().MonotonicNs();
    status = AttachAll(&library);
    library.attached_ns = RealClock().MonotonicNs();
    // The open file may be the caller's as well, and outlive this.
    if (!status.ok()) WriteGuard::Release(library.file.get());
    if (status.ok()) {
      Log(LogLevel::kDebug, "probing ", row->name, " in ", path, ", read after ",
          (read_ns - sighting.now_ns) / 1000, " us, attached after ",
          (library.attached_ns - sighting.now_ns) / 1000, " us");
      libraries_.insert_or_assign(id, std::move(library));
      if (!sighting.is_mapped) DropLongestWaiting();
      return true;
    }
  } else if (found.ok() && found->is_cut) {
    ++cut_;
  }
  if (others_.size() >= kRememberedFiles) others_.clear();
  others_.insert({id, stamp});
  if (!status.ok()) return status;
  return false;
}

FileState TlsProbes::Find(int fd, uint64_t* attached_ns) const {
  const absl::StatusOr<Stamp> stamp = StampOf(fd);
  if (!stamp.ok()) return FileState::kOther;
  const absl::StatusOr<InodeFacts> inode = inodes_->Read(fd);
  if (!inode.ok()) return FileState::kOther;
  absl::MutexLock lock(&mutex_);
  if (const auto known = libraries_.find(inode->id); known != libraries_.end()) {
    *attached_ns = known->second.attached_ns;
    return FileState::kProbed;
  }
  return others_.contains({inode->id, *stamp}) ? FileState::kOther : FileState::kUnexamined;
}

void TlsProbes::OnMapping(uint64_t now_ns) {
  if (now_ns < novelty_ns_ + kNoveltyNs) warmer_.Warm(now_ns);
}

void TlsProbes::DropUnused(uint64_t now_ns) {
  std::vector<FileId> due;
  {
    absl::MutexLock lock(&mutex_);
    for (auto& [id, library] : libraries_) {
      if (library.checked_ns + kCheckNs > now_ns) continue;
      library.checked_ns = now_ns;
      due.push_back(id);
      if (due.size() == kChecksARun) break;
    }
  }
  // One at a time, so that what was mapped just now has not to wait.
  for (const FileId& id : due) {
    GuardLate(id, now_ns);
    DropIfUnused(id, now_ns);
  }
}

bool TlsProbes::MakeWay() {
  const uint64_t now_ns = RealClock().MonotonicNs();
  absl::MutexLock lock(&mutex_);
  std::vector<FileId> ways;
  for (const auto& [id, library] : libraries_) {
    if (library.is_guarded && WriteGuard::IsAwaited(library.file.get())) ways.push_back(id);
  }
  for (const FileId& id : ways) {
    const auto found = libraries_.find(id);
    Library library = std::move(found->second);
    libraries_.erase(found);
    Detach(&library);
    WriteGuard::Release(library.file.get());
    ++made_way_;
    const absl::StatusOr<InodeFacts> inode = inodes_->Read(library.file.get());
    if (!inode.ok() || inode->is_mapped) ++made_way_in_use_;
    ++dropped_;
    Log(LogLevel::kDebug, "probes off ", library.path, ", which is about to be written");
    awaited_.push_back({id,
                        std::move(library.path),
                        std::move(library.file),
                        {library.was_mapped, library.is_lasting, now_ns}});
  }
  std::erase_if(awaited_, [&](Awaited& each) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (libraries_.contains(each.id) || now_ns > each.sighting.now_ns + kAwaitedNs) return true;
    // Not while it is open for writing.
    if (!guard_.Guard(each.file.get())) return false;
    const absl::StatusOr<Stamp> stamp = StampOf(each.file.get());
    each.sighting.now_ns = now_ns;
    const absl::StatusOr<bool> is_library =
        stamp.ok() ? Examine(each.file.get(), each.path, each.id, *stamp, each.sighting)
                   : absl::StatusOr<bool>(stamp.status());
    if (!is_library.ok()) Log(LogLevel::kWarning, each.path, ": ", is_library.status().message());
    return true;
  });
  return !awaited_.empty();
}

void TlsProbes::GuardLate(const FileId& id, uint64_t now_ns) {
  absl::MutexLock lock(&mutex_);
  const auto found = libraries_.find(id);
  if (found == libraries_.end() || found->second.is_guarded) return;
  Library& library = found->second;
  library.is_guarded = guard_.Guard(library.file.get());
  const absl::StatusOr<Stamp> stamp = StampOf(library.file.get());
  if (!library.is_guarded || !stamp.ok() || !HasNewContent(library, *stamp)) return;
  Library old = std::move(library);
  libraries_.erase(found);
  Detach(&old);
  ++dropped_;
  const absl::StatusOr<bool> is_library =
      Examine(old.file.get(), old.path, id, *stamp, {old.was_mapped, old.is_lasting, now_ns});
  if (!is_library.ok()) Log(LogLevel::kWarning, old.path, ": ", is_library.status().message());
}

void TlsProbes::DropIfUnused(const FileId& id, uint64_t now_ns) {
  absl::MutexLock lock(&mutex_);
  const auto found = libraries_.find(id);
  if (found == libraries_.end()) return;
  Library& library = found->second;
  const auto is_mapped = [this](const Library& of) {
    const absl::StatusOr<InodeFacts> inode = inodes_->Read(of.file.get());
    return !inode.ok() || inode->is_mapped;
  };
  if (is_mapped(library)) {
    library.was_mapped = true;
    library.idle_ns = 0;
    return;
  }
  if (library.idle_ns == 0) {
    library.idle_ns = now_ns;
    return;
  }
  struct stat info;
  const bool is_deleted = fstat(library.file.get(), &info) == 0 && info.st_nlink == 0;
  if (!is_deleted && (library.is_lasting ||
                      now_ns < library.idle_ns + (library.was_mapped ? kIdleNs : kUnusedNs))) {
    return;
  }
  Library out = std::move(library);
  libraries_.erase(found);
  ++dropped_;
  // Whoever maps it from now on is considered anew; who did so before, and may have been told as
  // known, shows up here.
  if (is_mapped(out)) {
    libraries_.emplace(id, std::move(out));
    return;
  }
  Log(LogLevel::kDebug, "no process uses ", out.path);
  Retire(id, std::move(out));
}

void TlsProbes::DropUnmounted() {
  absl::flat_hash_set<int> mounts;
  std::ifstream info("/proc/self/mountinfo");
  for (std::string line; std::getline(info, line);) {
    int id = 0;
    if (absl::SimpleAtoi(line.substr(0, line.find(' ')), &id)) mounts.insert(id);
  }
  if (mounts.empty()) return;
  absl::MutexLock lock(&mutex_);
  std::vector<FileId> gone;
  for (const auto& [id, library] : libraries_) {
    if (library.mount_id == 0 || mounts.contains(library.mount_id)) continue;
    const absl::StatusOr<InodeFacts> inode = inodes_->Read(library.file.get());
    if (inode.ok() && !inode->is_mapped) gone.push_back(id);
  }
  for (const FileId& id : gone) {
    const auto found = libraries_.find(id);
    Library out = std::move(found->second);
    libraries_.erase(found);
    ++dropped_;
    Retire(id, std::move(out));
  }
}

void TlsProbes::DropLongestWaiting() {
  size_t waiting = 0;
  auto longest = libraries_.end();
  for (auto each = libraries_.begin(); each != libraries_.end(); ++each) {
    const Library& library = each->second;
    if (library.was_mapped || library.is_lasting) continue;
    ++waiting;
    if (longest == libraries_.end() || library.idle_ns < longest->second.idle_ns) longest = each;
  }
  if (waiting <= kMaxUnused) return;
  const FileId id = longest->first;
  Library out = std::move(longest->second);
  libraries_.erase(longest);
  ++dropped_;
  Retire(id, std::move(out));
}

void TlsProbes::Retire(const FileId& id, Library library) {
  retired_.emplace(id, std::move(library));
  detacher_.Later([this, id] { Close(id); });
}

void TlsProbes::Close(const FileId& id) {
  Library library;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = retired_.find(id);
    if (found == retired_.end()) return;
    library = std::move(found->second);
    retired_.erase(found);
    closing_ = id;
  }
  library.links.clear();
  for (Probe& probe : library.probes) probe.links.clear();
  absl::MutexLock lock(&mutex_);
  FreeSlots(library.probes);
  closing_.reset();
}

void TlsProbes::Detach(Library* library) {
  library->links.clear();
  for (Probe& probe : library->probes) probe.links.clear();
  FreeSlots(library->probes);
  library->probes.clear();
}

uint32_t TlsProbes::TakeSlot() {
  if (!programs_->has_cookie()) return 0;
  if (!free_slots_.empty()) {
    const uint32_t slot = free_slots_.back();
    free_slots_.pop_back();
    return slot;
  }
  return next_slot_ < kSlots ? next_slot_++ : 0;
}

void TlsProbes::FreeSlots(absl::Span<const Probe> probes) {
  const int map = bpf_map__fd(programs_->process().maps.tw_hits);
  for (const Probe& probe : probes) {
    if (probe.slot == 0) continue;
    const tw_probe_count none = {};
    bpf_map_update_elem(map, &probe.slot, &none, BPF_ANY);
    free_slots_.push_back(probe.slot);
  }
}

tw_probe_count TlsProbes::Count(uint32_t slot) const {
  tw_probe_count count = {};
  bpf_map_lookup_elem(bpf_map__fd(programs_->process().maps.tw_hits), &slot, &count);
  return count;
}

void TlsProbes::CheckSites() {
  absl::MutexLock lock(&mutex_);
  for (auto& [id, library] : libraries_) {
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
          ": returns went past the sites that were chosen for them; ",
          library.policy.returns_refused.empty() ? "using the kernel's probes"
                                                 : "its reads and writes stay unseen");
    }
    Detach(&library);
    const absl::Status status = AttachAll(&library);
    if (!status.ok()) Log(LogLevel::kWarning, library.path, ": ", status.message());
  }
}

}  // namespace tokenwatch
