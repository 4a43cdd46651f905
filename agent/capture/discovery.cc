#include "agent/capture/discovery.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "agent/capture/capabilities.h"
#include "agent/capture/tls_libraries.h"
#include "agent/common/clock.h"
#include "agent/common/log.h"

namespace tokenwatch {
namespace {

// Where distributions keep shared libraries (Debian's multiarch, Fedora's lib64) and programs.
constexpr const char* kPlaces[] = {
    "/usr/lib/x86_64-linux-gnu", "/usr/lib64",     "/usr/lib", "/usr/local/lib",
    "/lib/x86_64-linux-gnu",     "/usr/local/bin", "/usr/bin",
};
constexpr size_t kSeenMappings = 16384;
// How long a mapping's file counts as looked at: it may be written over in place. Where the file
// system has no generations, the same number may be another file's soon.
constexpr uint64_t kSeenNs = 10'000'000'000, kSeenWithoutGenerationNs = 200'000'000;
constexpr int kTickMs = 2000;     // between two looks for libraries without users
constexpr int kBusyTickMs = 100;  // where written files wait
constexpr int kPriority = -15;

uint64_t NowNs() { return RealClock().MonotonicNs(); }

// Whether the file is the host's own, under a name that programs find it by.
bool IsUsual(int fd, const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return false;
  const std::string_view place(path.data(), slash);
  const std::string_view name = std::string_view(path).substr(slash + 1);
  if (std::find(std::begin(kPlaces), std::end(kPlaces), place) == std::end(kPlaces)) return false;
  for (const TlsLibrary& library : TlsLibraries()) {
    if (std::find(library.usual_names.begin(), library.usual_names.end(), name) ==
        library.usual_names.end()) {
      continue;
    }
    // In a container the name is that of another file.
    struct stat here, there;
    return stat(path.c_str(), &here) == 0 && fstat(fd, &there) == 0 &&
           here.st_dev == there.st_dev && here.st_ino == there.st_ino;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Discovery>> Discovery::Start(TlsProbes* probes) {
  auto discovery = std::unique_ptr<Discovery>(new Discovery(probes));
  absl::StatusOr<std::unique_ptr<MappingEvents>> events = MappingEvents::Create();
  if (!events.ok()) return events.status();
  discovery->events_ = *std::move(events);
  discovery->stop_ = UniqueFd(eventfd(0, EFD_CLOEXEC));
  absl::StatusOr<std::unique_ptr<FileEvents>> files = FileEvents::Create();
  if (files.ok()) {
    discovery->files_ = *std::move(files);
  } else {
    discovery->degraded_ = absl::StrCat(
        "mapped-files-only: ", files.status().message(),
        "; a library that nobody has mapped before may be probed too late for its first requests");
    LogAbout(LogLevel::kWarning, LogEvent::kDegraded,
             absl::StrCat("discovery has degraded to ", discovery->degraded_),
             {{"MODE", discovery->degraded_.substr(0, discovery->degraded_.find(':'))}});
  }
  // The events are on already, so nothing falls between the scan and the first of them.
  discovery->ScanUsualPlaces();
  discovery->ScanProcesses();
  discovery->thread_ = std::thread([d = discovery.get()] { d->Run(); });
  return discovery;
}

Discovery::~Discovery() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(stop_.get(), &one, sizeof(one));
  thread_.join();
}

void Discovery::Consider(int fd, const std::string& path, bool is_mapped) {
  Sighting sighting;
  sighting.is_mapped = is_mapped;
  sighting.is_lasting = IsUsual(fd, path);
  sighting.now_ns = NowNs();
  const absl::StatusOr<bool> probed = probes_->Consider(fd, path, sighting);
  if (probed.ok() || absl::IsInvalidArgument(probed.status())) return;
  ++unidentified_;
  Log(LogLevel::kWarning, "cannot probe ", path, ": ", probed.status().message());
}

// Opens and looks at `path`, unless it is not the file with that inode number (0: any).
bool Discovery::Open(const std::string& path, const std::string& shown, uint64_t inode) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return false;
  struct stat info;
  if (inode != 0 && (fstat(fd.get(), &info) != 0 || info.st_ino != inode)) return false;
  Consider(fd.get(), shown, /*is_mapped=*/true);
  return true;
}

void Discovery::ScanUsualPlaces() {
  for (const TlsLibrary& library : TlsLibraries()) {
    for (const char* name : library.usual_names) {
      for (const char* place : kPlaces) {
        const std::string path = absl::StrCat(place, "/", name);
        const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
        if (fd.valid()) Consider(fd.get(), path, /*is_mapped=*/false);
      }
    }
  }
}

void Discovery::ScanProcesses() {
  DIR* directory = opendir("/proc");
  if (directory == nullptr) return;
  while (const dirent* entry = readdir(directory)) {
    uint32_t pid = 0;
    if (absl::SimpleAtoi(entry->d_name, &pid)) ScanProcess(entry->d_name);
  }
  closedir(directory);
  seen_.clear();
}

void Discovery::ScanProcess(const std::string& pid) {
  std::ifstream maps(absl::StrCat("/proc/", pid, "/maps"));
  for (std::string line; std::getline(maps, line);) {
    // 7f0000000000-7f0000001000 r-xp 00001000 fe:00 12345    /path with spaces
    std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(' ', 5));
    if (fields.size() < 6 || !absl::StrContains(fields[1], 'x')) continue;
    const size_t at = fields[5].find('/');
    if (at == std::string::npos || fields[4] == "0") continue;
    std::vector<std::string> device = absl::StrSplit(fields[3], ':');
    uint32_t major = 0, minor = 0;
    uint64_t inode = 0;
    if (device.size() != 2 || !absl::SimpleHexAtoi(device[0], &major) ||
        !absl::SimpleHexAtoi(device[1], &minor) || !absl::SimpleAtoi(fields[4], &inode)) {
      continue;
    }
    // Without a generation, so never equal to an event's key.
    if (seen_.size() >= kSeenMappings) seen_.clear();
    if (!seen_.try_emplace({major, minor, inode, ~0ULL}, 0).second) continue;
    Open(absl::StrCat("/proc/", pid, "/map_files/", fields[0]), fields[5].substr(at), 0);
  }
}

bool Discovery::WasSeen(const EventKey& key, uint64_t now_ns) {
  if (dropped_ != probes_->dropped()) {
    dropped_ = probes_->dropped();
    seen_.clear();
  }
  const auto seen = seen_.find(key);
  const uint64_t lasts = std::get<3>(key) != 0 ? kSeenNs : kSeenWithoutGenerationNs;
  return seen != seen_.end() && now_ns < seen->second + lasts;
}

void Discovery::OnMapping(const Mapping& mapping) {
  ++mappings_;
  if (mapping.inode == 0 || mapping.path.empty() || mapping.path[0] != '/') return;
  const EventKey key{mapping.major, mapping.minor, mapping.inode, mapping.generation};
  const uint64_t now_ns = NowNs();
  probes_->OnMapping(now_ns);
  if (WasSeen(key, now_ns)) return;
  const std::string process = absl::StrCat("/proc/", mapping.pid);
  // The mapping itself; where it is gone already, the same file by its name.
  if (Open(absl::StrFormat("%s/map_files/%x-%x", process, mapping.start, mapping.end), mapping.path,
           0) ||
      Open(absl::StrCat(process, "/root", mapping.path), mapping.path, mapping.inode) ||
      Open(mapping.path, mapping.path, mapping.inode)) {
    if (seen_.size() >= kSeenMappings) seen_.clear();
    seen_.insert_or_assign(key, now_ns);
    return;
  }
  ++missed_;
}

void Discovery::Run() {
  // What a new process sends before its library is probed is not seen.
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kPriority);
  const auto on_mapping = [this](const Mapping& mapping) { OnMapping(mapping); };
  const auto on_written = [this](int fd, const std::string& path) {
    ++written_;
    Consider(fd, path, /*is_mapped=*/false);
  };
  uint64_t next_tick_ns = 0;
  bool is_behind = false;  // written files wait for the next tenth of a second
  while (true) {
    pollfd others[] = {{stop_.get(), POLLIN, 0},
                       {files_ == nullptr ? -1 : files_->mounts_fd(), POLLPRI, 0},
                       {files_ == nullptr || is_behind ? -1 : files_->event_fd(), POLLIN, 0}};
    auto& [stop, mounts, written] = others;
    events_->Poll(is_behind ? kBusyTickMs : kTickMs, absl::MakeSpan(others), on_mapping);
    if (stop.revents != 0) return;
    if (mounts.revents != 0) {
      files_->WatchMounts();
      probes_->DropUnmounted();
    }
    if (written.revents != 0 || is_behind) is_behind = !files_->Drain(NowNs(), on_written);
    if (events_->lost() != lost_) {
      lost_ = events_->lost();
      ScanProcesses();
    }
    if (const uint64_t now_ns = NowNs(); now_ns >= next_tick_ns) {
      next_tick_ns = now_ns + kTickMs * 1'000'000ULL;
      probes_->DropUnused(now_ns);
    }
    Publish();
  }
}

void Discovery::Publish() {
  if (files_ == nullptr) return;
  writes_unseen_ = files_->unseen();
  file_systems_ = files_->file_systems();
  file_systems_refused_ = files_->refused();
}

void Discovery::AddCounters(Counters* counters) const {
  (*counters)["mappings_seen"] = mappings_;
  (*counters)["mappings_gone"] = missed_;
  (*counters)["mapping_events_lost"] = lost_;
  (*counters)["files_written_seen"] = written_;
  (*counters)["file_events_lost"] = writes_unseen_;
  (*counters)["file_systems_watched"] = file_systems_;
  (*counters)["file_systems_refused"] = file_systems_refused_;
  (*counters)["files_refused_unseen"] = unidentified_;
}

}  // namespace tokenwatch
