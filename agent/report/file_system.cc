#include "agent/report/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

namespace fs = std::filesystem;

absl::Status Error(const char* doing, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", doing, " ", path));
}

class PosixFile : public File {
 public:
  PosixFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~PosixFile() override { close(fd_); }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t size) override {
    std::string bytes(size, '\0');
    size_t done = 0;
    while (done < size) {
      const ssize_t n =
          pread(fd_, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return Error("read", path_);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    bytes.resize(done);
    return bytes;
  }

  absl::Status WriteAt(uint64_t offset, std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return Error("write", path_);
      bytes.remove_prefix(static_cast<size_t>(n));
      offset += static_cast<uint64_t>(n);
    }
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    if (fdatasync(fd_) != 0) return Error("write", path_);
    return absl::OkStatus();
  }

  absl::StatusOr<uint64_t> Size() override {
    struct stat status;
    if (fstat(fd_, &status) != 0) return Error("read", path_);
    return static_cast<uint64_t>(status.st_size);
  }

 private:
  const int fd_;
  const std::string path_;
};

// flock(2): the kernel lets go of it with the process, however that ends.
class PosixLock : public FileLock {
 public:
  explicit PosixLock(int fd) : fd_(fd) {}
  ~PosixLock() override { close(fd_); }
  PosixLock(const PosixLock&) = delete;
  PosixLock& operator=(const PosixLock&) = delete;

 private:
  const int fd_;
};

class PosixFileSystem : public FileSystem {
 public:
  PosixFileSystem() = default;
  PosixFileSystem(std::string base, int directory)
      : base_(std::move(base)), directory_(directory) {}

  absl::Status MakePrivateDirectory(const std::string& path, std::string_view marker) override {
    const Place place = At(path);
    // What is open has been made.
    if (place.directory != AT_FDCWD && place.name == ".") return ClosePrivate(path, marker);
    const fs::path parent = fs::absolute(path).lexically_normal().parent_path();
    std::error_code error;
    fs::create_directories(parent, error);
    if (error) {
      return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot make ", parent.string()));
    }
    if (mkdirat(place.directory, place.name.c_str(), 0700) == 0) {
      return SyncDirectory(parent.string());
    }
    if (errno != EEXIST) return Error("make", path);
    return ClosePrivate(path, marker);
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    const Place place = At(directory);
    const int fd = openat(place.directory, place.name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR* const list = fd < 0 ? nullptr : fdopendir(fd);
    if (list == nullptr) return Error("read", directory);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(list)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
      errno = 0;
    }
    const absl::Status status = errno == 0 ? absl::OkStatus() : Error("read", directory);
    closedir(list);
    if (!status.ok()) return status;
    return names;
  }

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    int flags = O_CLOEXEC | O_NOFOLLOW;
    switch (mode) {
      case OpenMode::kRead:
        flags |= O_RDONLY;
        break;
      case OpenMode::kCreate:
        flags |= O_RDWR | O_CREAT | O_EXCL;
        break;
      case OpenMode::kUpdate:
        flags |= O_RDWR | O_CREAT;
        break;
    }
    const Place place = At(path);
    const int fd = openat(place.directory, place.name.c_str(), flags, 0600);
    if (fd < 0) return Error("open", path);
    return std::make_unique<PosixFile>(fd, path);
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    const Place source = At(from);
    const Place target = At(to);
    if (renameat(source.directory, source.name.c_str(), target.directory, target.name.c_str()) != 0)
      return Error("rename to", to);
    return absl::OkStatus();
  }

  absl::Status Remove(const std::string& path) override {
    const Place place = At(path);
    if (unlinkat(place.directory, place.name.c_str(), 0) != 0) return Error("remove", path);
    return absl::OkStatus();
  }

  absl::Status SyncDirectory(const std::string& path) override {
    const Place place = At(path);
    const int fd = openat(place.directory, place.name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return Error("open", path);
    const absl::Status status = fsync(fd) == 0 ? absl::OkStatus() : Error("write", path);
    close(fd);
    return status;
  }

  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    const Place place = At(path);
    const int fd = openat(place.directory, place.name.c_str(),
                          O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return Error("open", path);
    auto lock = std::make_unique<PosixLock>(fd);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return Error("lock", path);
      char holder[16] = {};
      const bool known = pread(fd, holder, sizeof(holder) - 1, 0) > 0;
      return absl::AlreadyExistsError(
          absl::StrCat("process ", known ? holder : "unknown", " holds ", path));
    }
    // Only for the sentence above: the lock holds without it.
    const std::string pid = absl::StrCat(getpid());
    if (ftruncate(fd, 0) == 0) {
      [[maybe_unused]] const ssize_t written = pwrite(fd, pid.data(), pid.size(), 0);
    }
    return lock;
  }

 private:
  // For the calls that take a directory and a path.
  struct Place {
    int directory = AT_FDCWD;
    std::string name;
  };

  Place At(const std::string& path) const {
    if (directory_ < 0 || !path.starts_with(base_)) return {AT_FDCWD, path};
    if (path.size() == base_.size()) return {directory_, "."};
    if (path[base_.size()] != '/') return {AT_FDCWD, path};
    const size_t name = path.find_first_not_of('/', base_.size());
    return {directory_, name == std::string::npos ? "." : path.substr(name)};
  }

  // A directory that exists: closed to others if it is ours.
  absl::Status ClosePrivate(const std::string& path, std::string_view marker) {
    const Place place = At(path);
    struct stat status;
    if (fstatat(place.directory, place.name.c_str(), &status, 0) != 0) return Error("read", path);
    if (!S_ISDIR(status.st_mode)) {
      return absl::FailedPreconditionError(absl::StrCat(path, " is not a directory"));
    }
    if ((status.st_mode & 077) == 0) return absl::OkStatus();
    const auto names = List(path);
    if (!names.ok()) return names.status();
    bool ours = names->empty();
    for (const std::string& name : *names) ours = ours || name == marker;
    if (!ours) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, " is open to other users and holds other things"));
    }
    if (fchmodat(place.directory, place.name.c_str(), 0700, 0) != 0) {
      return Error("change the mode of", path);
    }
    return absl::OkStatus();
  }

  const std::string base_;
  const int directory_ = -1;
};

}  // namespace

FileSystem* RealFileSystem() {
  static PosixFileSystem file_system;
  return &file_system;
}

std::unique_ptr<FileSystem> FileSystemWithin(std::string base, int directory) {
  return std::make_unique<PosixFileSystem>(std::move(base), directory);
}

}  // namespace tokenwatch
