#include "agent/common/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tokenwatch {
namespace {

constexpr size_t kMaxBytes = 64 << 10;

absl::Status Failure(int error, const std::string& path) {
  return absl::ErrnoToStatus(error, absl::StrCat("cannot write ", path));
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status SyncFolder(const std::string& path) {
  const int folder = open(FolderOf(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return Failure(errno, path);
  const int result = fsync(folder);
  const int error = errno;
  close(folder);
  return result == 0 ? absl::OkStatus() : Failure(error, path);
}

absl::Status WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failure(errno, path);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return fsync(fd) == 0 ? absl::OkStatus() : Failure(errno, path);
}

// A durable file beside `path`, whose name goes to *unfinished.
absl::Status WriteBeside(const std::string& path, std::string_view bytes, unsigned mode,
                         std::string* unfinished) {
  *unfinished = absl::StrCat(path, ".XXXXXX");
  const int fd = mkostemp(unfinished->data(), O_CLOEXEC);
  if (fd < 0) return Failure(errno, path);
  const absl::Cleanup close_file = [fd] { close(fd); };
  // Files belong to whom their folder does: an operator's root makes them, the service reads them.
  struct stat folder;
  if (geteuid() == 0 && stat(FolderOf(path).c_str(), &folder) == 0 &&
      (folder.st_uid != 0 || folder.st_gid != 0) && fchown(fd, folder.st_uid, folder.st_gid) != 0) {
    return Failure(errno, path);
  }
  if (fchmod(fd, mode) != 0) return Failure(errno, path);
  return WriteAll(fd, bytes, path);
}

}  // namespace

absl::StatusOr<SecretBuffer> ReadSecretFile(const std::string& path, const std::string& what) {
  // Without O_NONBLOCK a FIFO would hold the program up.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  const auto unreadable = [&](int error) {
    return absl::ErrnoToStatus(error, absl::StrCat(what, " cannot be read from ", path));
  };
  if (fd < 0) return unreadable(errno);
  const absl::Cleanup close_file = [fd] { close(fd); };
  struct stat file;
  if (fstat(fd, &file) != 0) return unreadable(errno);
  if (!S_ISREG(file.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " cannot be read from ", path, ", which is no regular file"));
  }
  SecretBuffer bytes;
  char part[4096];
  const absl::Cleanup wipe = [&part] { OPENSSL_cleanse(part, sizeof part); };
  while (true) {
    const ssize_t got = read(fd, part, sizeof part);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return unreadable(errno);
    if (got == 0) return bytes;
    if (bytes.size() + static_cast<size_t>(got) > kMaxBytes) {
      return absl::InvalidArgumentError(absl::StrCat(path, " is too large to be ", what));
    }
    bytes.Append({part, static_cast<size_t>(got)});
  }
}

absl::StatusOr<SecretBuffer> ReadSecretText(const std::string& path, const std::string& what) {
  absl::StatusOr<SecretBuffer> bytes = ReadSecretFile(path, what);
  if (!bytes.ok()) return bytes;
  std::string_view text = bytes->view();
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
  while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') text.remove_prefix(1);
  if (text.empty()) return absl::InvalidArgumentError(absl::StrCat(path, " is empty"));
  return SecretBuffer(text);
}

absl::Status CheckSecretAccess(const std::string& path, const std::string& what) {
  struct stat file;
  if (stat(path.c_str(), &file) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(what, " cannot be read from ", path));
  }
  if (file.st_uid != 0 && file.st_uid != geteuid()) {
    return absl::PermissionDeniedError(
        absl::StrCat(what, " is in ", path, ", which belongs to user ", file.st_uid,
                     ", who could change it: run \"chown ", geteuid(), " ", path, "\""));
  }
  // Root hands a service's secret to the service's group.
  const mode_t allowed = file.st_gid == getegid() ? 0640 : 0600;
  if ((file.st_mode & 07777 & ~allowed) == 0) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrFormat("%s is in %s, whose mode %04o lets others use it: run \"chmod 600 %s\"", what,
                      path, file.st_mode & 07777, path));
}

absl::Status WriteNewFile(const std::string& path, std::string_view bytes, unsigned mode) {
  std::string unfinished;
  absl::Status status = WriteBeside(path, bytes, mode, &unfinished);
  // link(2) never replaces what is there, as rename(2) would.
  if (status.ok() && link(unfinished.c_str(), path.c_str()) != 0) status = Failure(errno, path);
  unlink(unfinished.c_str());
  if (!status.ok()) return status;
  return SyncFolder(path);
}

absl::Status ReplaceFile(const std::string& path, std::string_view bytes, unsigned mode) {
  std::string unfinished;
  absl::Status status = WriteBeside(path, bytes, mode, &unfinished);
  if (status.ok() && rename(unfinished.c_str(), path.c_str()) != 0) status = Failure(errno, path);
  if (!status.ok()) {
    unlink(unfinished.c_str());
    return status;
  }
  return SyncFolder(path);
}

}  // namespace tokenwatch
