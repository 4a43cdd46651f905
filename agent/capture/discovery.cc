#include "agent/capture/discovery.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <fstream>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "agent/capture/capabilities.h"
#include "agent/capture/tls_libraries.h"
#include "agent/common/log.h"

namespace tokenwatch {
namespace {

// Where distributions keep shared libraries (Debian's multiarch, Fedora's lib64) and programs.
constexpr const char* kPlaces[] = {
    "/usr/lib/x86_64-linux-gnu", "/usr/lib64",     "/usr/lib", "/usr/local/lib",
    "/lib/x86_64-linux-gnu",     "/usr/local/bin", "/usr/bin",
};
constexpr size_t kSeenMappings = 200000;

}  // namespace

absl::StatusOr<std::unique_ptr<Discovery>> Discovery::Start(TlsProbes* probes) {
  auto discovery = std::unique_ptr<Discovery>(new Discovery(probes));
  absl::StatusOr<std::unique_ptr<MappingEvents>> events = MappingEvents::Create();
  if (!events.ok()) return events.status();
  discovery->events_ = *std::move(events);
  discovery->stop_ = UniqueFd(eventfd(0, EFD_CLOEXEC));
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

bool Discovery::Open(const std::string& path, const std::string& shown) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return false;
  const absl::StatusOr<bool> probed = probes_->Consider(fd.get(), shown);
  if (!probed.ok() && !absl::IsInvalidArgument(probed.status())) {
    Log(LogLevel::kWarning, "cannot probe ", shown, ": ", probed.status().message());
  }
  return true;
}

void Discovery::ScanUsualPlaces() {
  for (const TlsLibrary& library : TlsLibraries()) {
    for (const char* name : library.usual_names) {
      for (const char* place : kPlaces) {
        const std::string path = absl::StrCat(place, "/", name);
        if (access(path.c_str(), F_OK) == 0) Open(path, path);
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
    if (!seen_.insert({major, minor, inode, ~0ULL}).second) continue;
    Open(absl::StrCat("/proc/", pid, "/map_files/", fields[0]), fields[5].substr(at));
  }
}

void Discovery::OnMapping(const Mapping& mapping) {
  ++mappings_;
  if (mapping.inode == 0 || mapping.path.empty() || mapping.path[0] != '/') return;
  const EventKey key{mapping.major, mapping.minor, mapping.inode, mapping.generation};
  // A file system without generations may give the same number to another file.
  if (mapping.generation != 0 && seen_.contains(key)) return;
  if (seen_.size() >= kSeenMappings) seen_.clear();
  const std::string process = absl::StrCat("/proc/", mapping.pid);
  if (Open(absl::StrFormat("%s/map_files/%x-%x", process, mapping.start, mapping.end),
           mapping.path) ||
      Open(absl::StrCat(process, "/root", mapping.path), mapping.path) ||
      Open(mapping.path, mapping.path)) {
    seen_.insert(key);
    return;
  }
  ++missed_;
}

void Discovery::Run() {
  while (true) {
    events_->Poll(-1, stop_.get(), [this](const Mapping& mapping) { OnMapping(mapping); });
    pollfd wait{stop_.get(), POLLIN, 0};
    if (poll(&wait, 1, 0) > 0) return;
    if (events_->lost() != lost_) {
      lost_ = events_->lost();
      ScanProcesses();
    }
  }
}

void Discovery::AddCounters(Counters* counters) const {
  (*counters)["mappings_seen"] = mappings_;
  (*counters)["mappings_gone_unseen"] = missed_;
  (*counters)["mapping_events_lost"] = lost_;
}

}  // namespace tokenwatch
