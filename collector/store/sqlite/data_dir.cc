#include "collector/store/sqlite/data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace tokenwatch::sqlite {
namespace {

absl::Status Errno(int error, absl::string_view path, absl::string_view problem) {
  return absl::ErrnoToStatus(error, absl::StrCat("the data directory ", path, " ", problem));
}

constexpr char kMade[] = "A database was made here.\n";

off_t SizeIn(int directory, const char* name) {
  struct stat info{};
  return fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) == 0 ? info.st_size : 0;
}

// Only a first start, one that was cut short included, may find no database.
absl::Status CheckNotLost(int directory, const std::string& path) {
  if (SizeIn(directory, "tokenwatch.db") != 0) return absl::OkStatus();
  // SQLite writes to its log only once the database has a first page.
  if (SizeIn(directory, "lock") == 0 && SizeIn(directory, "tokenwatch.db-wal") == 0) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat(path,
                                          "/tokenwatch.db is empty or missing although uses were "
                                          "kept in it; restore a backup, or to begin anew ",
                                          HowToBeginAnew(path + "/tokenwatch.db")));
}

}  // namespace

std::string HowToBeginAnew(const std::string& database_path) {
  return absl::StrCat("move tokenwatch.db* and lock out of ",
                      database_path.substr(0, database_path.rfind('/')),
                      ", and nothing else: its folder enrol has the certificate authority");
}

absl::StatusOr<std::unique_ptr<DataDir>> DataDir::Open(const std::string& path) {
  if (path.empty()) {
    return absl::InvalidArgumentError("no data directory is given; name one with --data-dir");
  }
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return Errno(errno, path, "cannot be made; make it, or choose another with --data-dir");
  }
  const int directory = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) {
    return Errno(errno, path, "cannot be opened; choose another with --data-dir");
  }
  const auto unwritable = [&path](int error) {
    return Errno(error, path,
                 "cannot be written; change its owner, or choose another with "
                 "--data-dir");
  };
  absl::Status status;
  int database = -1;
  const int lock = openat(directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  struct stat info{};
  if (lock < 0) {
    status = unwritable(errno);
  } else if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    status = errno == EWOULDBLOCK
                 ? absl::FailedPreconditionError(absl::StrCat(
                       "the data directory ", path,
                       " is in use by another collector; stop that one, or choose another with "
                       "--data-dir"))
                 : unwritable(errno);
  } else if (status = CheckNotLost(directory, path); status.ok()) {
    // SQLite would make it readable for all, and gives its other files the mode of this one.
    database = openat(directory, "tokenwatch.db", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (database < 0 || fstat(database, &info) != 0 || fsync(directory) != 0) {
      status = unwritable(errno);
    }
  }
  if (database >= 0) close(database);
  close(directory);
  if (!status.ok()) {
    if (lock >= 0) close(lock);
    return status;
  }
  std::unique_ptr<DataDir> opened(new DataDir(absl::StrCat(path, "/tokenwatch.db"), lock));
  opened->database_inode_ = info.st_ino;
  return opened;
}

DataDir::~DataDir() { close(lock_); }

absl::Status DataDir::NoteMade() const {
  struct stat info{};
  if (fstat(lock_, &info) == 0 && info.st_size != 0) return absl::OkStatus();
  constexpr ssize_t kSize = sizeof(kMade) - 1;
  if (pwrite(lock_, kMade, kSize, 0) == kSize && fsync(lock_) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(
      errno,
      absl::StrCat(database_path_, " is made, but the lock file beside it cannot be written"));
}

absl::StatusOr<StoreSpace> DataDir::Space() const {
  struct statvfs disk{};
  if (statvfs(database_path_.c_str(), &disk) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("asking for the disk of ", database_path_));
  }
  StoreSpace space{.free_bytes = disk.f_bavail * disk.f_frsize,
                   .capacity_bytes = disk.f_blocks * disk.f_frsize};
  for (const char* ending : {"", "-wal", "-shm"}) {
    space.bytes +=
        static_cast<uint64_t>(SizeIn(AT_FDCWD, absl::StrCat(database_path_, ending).c_str()));
  }
  return space;
}

absl::Status DataDir::CheckPresent() const {
  struct stat info{};
  if (stat(database_path_.c_str(), &info) != 0 || info.st_ino != database_inode_) {
    return absl::UnavailableError(
        absl::StrCat(database_path_, " was removed or replaced; restart the collector"));
  }
  return absl::OkStatus();
}

}  // namespace tokenwatch::sqlite
