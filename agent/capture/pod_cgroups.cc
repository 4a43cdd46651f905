#include "agent/capture/pod_cgroups.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/capture/capabilities.h"
#include "agent/capture/pod_names.h"
#include "agent/common/log.h"

namespace tokenwatch {
namespace {

constexpr size_t kDepthMax = 64;  // of cgroups; the kernel has no bound but memory
constexpr uint32_t kAppears = IN_CREATE | IN_MOVED_TO;
constexpr uint32_t kDisappears = IN_DELETE | IN_MOVED_FROM;
constexpr uint32_t kSelfGone = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT;

std::vector<std::string> Subdirectories(const std::string& path) {
  std::vector<std::string> names;
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return names;
  while (const dirent* entry = readdir(directory)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat info;
    const bool is_directory = entry->d_type == DT_DIR ||
                              (entry->d_type == DT_UNKNOWN &&
                               lstat(absl::StrCat(path, "/", entry->d_name).c_str(), &info) == 0 &&
                               S_ISDIR(info.st_mode));
    if (is_directory) names.emplace_back(name);
  }
  closedir(directory);
  return names;
}

// The path without its last component; of "/" itself.
std::string Above(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

}  // namespace

absl::StatusOr<std::unique_ptr<PodCgroups>> PodCgroups::Create(Options options,
                                                               PodCgroupSink* sink) {
  while (options.pods_dir.size() > 1 && options.pods_dir.ends_with('/')) {
    options.pods_dir.pop_back();
  }
  auto cgroups = std::unique_ptr<PodCgroups>(new PodCgroups(std::move(options), sink));
  cgroups->inotify_ = UniqueFd(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!cgroups->inotify_.valid()) {
    return KernelError(-errno,
                       "watching the pods of --scope-namespace (inotify_init; is "
                       "fs.inotify.max_user_instances reached?)");
  }
  cgroups->ScanCgroups(cgroups->options_.cgroup_root);
  cgroups->FindPods();
  cgroups->Tell();
  return cgroups;
}

bool PodCgroups::AddWatch(const std::string& path, uint32_t events, Kind kind) {
  const int watch = inotify_add_watch(inotify_.get(), path.c_str(), events | IN_ONLYDIR);
  if (watch < 0) return false;
  watches_[watch] = {kind, path};
  return true;
}

void PodCgroups::ScanCgroups(const std::string& path) {
  uint64_t unwatched = 0;
  std::vector<std::string> open = {path};
  while (!open.empty()) {
    const std::string at = std::move(open.back());
    open.pop_back();
    // The watch comes first: what appears while the directory is read is an event, or read, or
    // both.
    if (watches_.size() >= options_.max_directories ||
        (!AddWatch(at, IN_CREATE | IN_DELETE, Kind::kCgroup) && errno != ENOENT)) {
      ++unwatched;
    }
    const size_t depth = std::count(at.begin(), at.end(), '/');
    for (const std::string& name : Subdirectories(at)) {
      std::string below = absl::StrCat(at, "/", name);
      std::string uid = PodUidOfCgroup(name);
      if (!uid.empty()) {
        TakeCgroup(below, std::move(uid));
      } else if (depth < kDepthMax) {
        open.push_back(std::move(below));
      }
    }
  }
  const absl::MutexLock lock(&mutex_);
  status_.unwatched += unwatched;
}

void PodCgroups::TakeCgroup(const std::string& path, std::string uid) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return;
  if (found_.size() >= options_.max_directories && !found_.contains(path)) {
    const absl::MutexLock lock(&mutex_);
    ++status_.unwatched;
    return;
  }
  // On 64-bit kernels the inode's number is the cgroup's id (kernfs_ino).
  found_[path] = {std::move(uid), info.st_ino};
}

// Everything below /var/log/pods from the start, or what to wait for.
void PodCgroups::FindPods() {
  wanted_.clear();
  if (!AddWatch(options_.pods_dir, kAppears | kDisappears | kSelfGone, Kind::kPods)) {
    WaitForPods();
    return;
  }
  for (const std::string& name : Subdirectories(options_.pods_dir)) AddPod(name);
  const absl::MutexLock lock(&mutex_);
  if (!status_.degraded.empty()) {
    Log(LogLevel::kInfo, options_.pods_dir, " is there: the pods of --scope-namespace are watched");
  }
  status_.degraded.clear();
}

void PodCgroups::WaitForPods() {
  const int error = errno;
  const bool is_missing = error == ENOENT || error == ENOTDIR;
  {
    const absl::MutexLock lock(&mutex_);
    const bool is_new = status_.degraded.empty();
    status_.degraded = absl::StrCat(
        is_missing ? "pods-directory-missing: " : "pods-directory-unwatched: ", options_.pods_dir,
        " cannot be watched (", std::strerror(error),
        "), so no pod is in scope until it can; where the kubelet keeps it elsewhere, say so with "
        "--pods-dir");
    if (is_new) Log(LogLevel::kWarning, status_.degraded);
  }
  if (!is_missing) return;
  // The nearest directory that exists tells of the next. One that appeared since is looked at
  // again.
  std::string missing = options_.pods_dir;
  for (size_t tries = 0; tries < kDepthMax; ++tries) {
    const std::string above = Above(missing);
    if (!AddWatch(above, kAppears | kSelfGone, Kind::kWaiting)) {
      missing = above;
      continue;
    }
    if (access(missing.c_str(), F_OK) != 0) return;
    if (AddWatch(options_.pods_dir, kAppears | kDisappears | kSelfGone, Kind::kPods)) {
      FindPods();
      return;
    }
    missing = options_.pods_dir;
  }
}

void PodCgroups::AddPod(std::string_view name) {
  const std::optional<PodDirectory> pod = ParsePodDirectory(name);
  if (!pod.has_value()) return;
  const std::vector<std::string>& namespaces = options_.namespaces;
  if (std::find(namespaces.begin(), namespaces.end(), pod->name_space) == namespaces.end()) return;
  wanted_.insert(std::string(pod->uid));
}

void PodCgroups::ProcessEvents() {
  alignas(inotify_event) char buffer[16384];
  ssize_t length = 0;
  bool any = false;
  while ((length = read(inotify_.get(), buffer, sizeof(buffer))) > 0) {
    any = true;
    for (const char* at = buffer; at < buffer + length;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      const size_t name_length = event->len == 0 ? 0 : strnlen(event->name, event->len);
      OnEvent(*event, {event->len == 0 ? "" : event->name, name_length});
      at += sizeof(inotify_event) + event->len;
    }
  }
  if (any) Tell();
}

void PodCgroups::OnEvent(const inotify_event& event, std::string_view name) {
  if ((event.mask & IN_Q_OVERFLOW) != 0) {
    // Adding a watch again gives the same one.
    found_.clear();
    ScanCgroups(options_.cgroup_root);
    FindPods();
    return;
  }
  const auto at = watches_.find(event.wd);
  if (at == watches_.end()) return;
  const Watch watch = at->second;
  if ((event.mask & IN_IGNORED) != 0) watches_.erase(at);
  switch (watch.kind) {
    case Kind::kCgroup:
      OnCgroup(watch, event, name);
      break;
    case Kind::kPods:
      OnPod(event, name);
      break;
    case Kind::kWaiting:
      if ((event.mask & IN_IGNORED) != 0) break;
      inotify_rm_watch(inotify_.get(), event.wd);
      watches_.erase(event.wd);
      FindPods();
      break;
  }
}

void PodCgroups::OnCgroup(const Watch& watch, const inotify_event& event, std::string_view name) {
  if ((event.mask & IN_ISDIR) == 0 || name.empty()) return;
  const std::string path = absl::StrCat(watch.path, "/", std::string(name));
  if ((event.mask & IN_DELETE) != 0) {
    found_.erase(path);
    return;
  }
  std::string uid = PodUidOfCgroup(name);
  if (uid.empty()) {
    ScanCgroups(path);
  } else {
    TakeCgroup(path, std::move(uid));
  }
}

void PodCgroups::OnPod(const inotify_event& event, std::string_view name) {
  if ((event.mask & kSelfGone) != 0) {
    inotify_rm_watch(inotify_.get(), event.wd);
    watches_.erase(event.wd);
    FindPods();
  } else if ((event.mask & IN_ISDIR) == 0) {
    return;
  } else if ((event.mask & kAppears) != 0) {
    AddPod(name);
  } else if (const std::optional<PodDirectory> pod = ParsePodDirectory(name); pod.has_value()) {
    wanted_.erase(std::string(pod->uid));
  }
}

// Makes the sink's cgroups those that both trees know.
void PodCgroups::Tell() {
  absl::flat_hash_set<uint64_t> in_scope;
  absl::flat_hash_set<std::string_view> pods;
  for (const auto& [path, cgroup] : found_) {
    if (!wanted_.contains(cgroup.uid)) continue;
    in_scope.insert(cgroup.id);
    pods.insert(cgroup.uid);
  }
  absl::erase_if(told_, [&](uint64_t id) {
    if (in_scope.contains(id)) return false;
    sink_->Remove(id);
    return true;
  });
  absl::erase_if(refused_, [&](uint64_t id) { return !in_scope.contains(id); });
  uint64_t full = 0;
  for (const uint64_t id : in_scope) {
    if (told_.contains(id)) continue;
    if (sink_->Add(id)) {
      told_.insert(id);
      refused_.erase(id);
    } else if (refused_.insert(id).second) {
      ++full;
    }
  }
  const absl::MutexLock lock(&mutex_);
  status_.pods = pods.size();
  status_.pods_without_cgroup = wanted_.size() - pods.size();
  status_.full += full;
}

PodStatus PodCgroups::Status() const {
  const absl::MutexLock lock(&mutex_);
  return status_;
}

}  // namespace tokenwatch
