#include "agent/capture/file_events.h"

#include <fcntl.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <string_view>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/capture/capabilities.h"

namespace tokenwatch {
namespace {

constexpr uint64_t kRefillNs = 100'000'000;
// Some 5 us each: a busy build host costs at most a hundredth of a CPU.
constexpr uint64_t kFilesARefill = 200;
constexpr size_t kMaxMounts = 4096;

// Local file systems that hold programs. Opening files of others may wait for a network.
constexpr std::string_view kFileSystems[] = {"ext2", "ext3",     "ext4", "xfs",     "btrfs",
                                             "f2fs", "bcachefs", "zfs",  "overlay", "tmpfs"};

}  // namespace

absl::StatusOr<std::unique_ptr<FileEvents>> FileEvents::Create() {
  auto events = std::unique_ptr<FileEvents>(new FileEvents());
  events->events_ = UniqueFd(fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK,
                                           O_RDONLY | O_CLOEXEC | O_LARGEFILE | O_NOATIME));
  if (!events->events_.valid()) {
    return KernelError(-errno, "watching for files that are written (fanotify_init)");
  }
  events->mounts_ = UniqueFd(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
  if (!events->mounts_.valid()) return KernelError(-errno, "opening /proc/self/mountinfo");
  events->WatchMounts();
  return events;
}

void FileEvents::WatchMounts() {
  // 36 35 98:0 /root /mount/point\040with\040space rw,noatime master:1 - ext3 /dev/root rw
  std::ifstream mounts("/proc/self/mountinfo");
  absl::flat_hash_set<std::string> now, devices;
  refused_ = 0;
  for (std::string line; std::getline(mounts, line) && now.size() < kMaxMounts;) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 7 || fields.end() - dash < 2 ||
        std::find(std::begin(kFileSystems), std::end(kFileSystems), dash[1]) ==
            std::end(kFileSystems)) {
      continue;
    }
    // Once a file system, however often it is mounted.
    if (!devices.emplace(fields[2]).second) continue;
    std::string key = absl::StrCat(fields[0], " ", fields[2]);
    std::string path;
    if (!watched_.contains(key) && (!absl::CUnescape(fields[4], &path) ||
                                    fanotify_mark(events_.get(), FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
                                                  FAN_CLOSE_WRITE, AT_FDCWD, path.c_str()) != 0)) {
      ++refused_;
      continue;
    }
    now.insert(std::move(key));
  }
  watched_ = std::move(now);
}

bool FileEvents::Drain(uint64_t now_ns,
                       absl::FunctionRef<void(int fd, const std::string& path)> handler) {
  if (now_ns >= refilled_ns_ + kRefillNs) {
    refilled_ns_ = now_ns;
    budget_ = kFilesARefill;
  }
  alignas(fanotify_event_metadata) std::array<char, 24 * sizeof(fanotify_event_metadata)> buffer;
  while (budget_ > 0) {
    ssize_t length = read(events_.get(), buffer.data(), buffer.size());
    if (length <= 0) return true;
    const auto* event = reinterpret_cast<const fanotify_event_metadata*>(buffer.data());
    for (; FAN_EVENT_OK(event, length); event = FAN_EVENT_NEXT(event, length)) {
      if (event->vers != FANOTIFY_METADATA_VERSION) return true;
      if ((event->mask & FAN_Q_OVERFLOW) != 0) ++unseen_;
      const UniqueFd fd(event->fd);
      if (!fd.valid()) continue;
      budget_ -= budget_ > 0 ? 1 : 0;
      char path[4096];
      const std::string link = absl::StrCat("/proc/self/fd/", fd.get());
      const ssize_t got = readlink(link.c_str(), path, sizeof(path));
      handler(fd.get(), std::string(path, got > 0 ? static_cast<size_t>(got) : 0));
    }
  }
  return false;
}

}  // namespace tokenwatch
