#include "agent/report/spool_check.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

namespace fs = std::filesystem;

absl::Status Unusable(const std::string& path, const std::string& why) {
  return absl::FailedPreconditionError(
      absl::StrCat("the spool directory ", path, " cannot be used: ", why,
                   "; make it writable or name another with --spool-dir"));
}

}  // namespace

absl::Status CheckSpoolPath(const std::string& path) {
  // The nearest that is there decides whether the rest can be made.
  for (fs::path at = fs::absolute(path).lexically_normal();; at = at.parent_path()) {
    if (access(at.c_str(), W_OK | X_OK) == 0) {
      struct stat status;
      if (stat(at.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return absl::OkStatus();
      return Unusable(path, at.string() + " is not a directory");
    }
    const int error = errno;
    if (error == ENOENT && at.has_relative_path()) continue;
    struct stat status;
    if (stat(at.c_str(), &status) == 0 && !S_ISDIR(status.st_mode)) {
      return Unusable(path, at.string() + " is not a directory");
    }
    if (error == ENOTDIR && at.has_relative_path()) continue;
    // Root without CAP_DAC_OVERRIDE, and the directory is the worker's: it writes there.
    if (error == EACCES && geteuid() == 0 && stat(at.c_str(), &status) == 0 && status.st_uid != 0 &&
        (status.st_mode & S_IRWXU) == S_IRWXU) {
      return absl::OkStatus();
    }
    return Unusable(path, absl::StrCat("cannot write into ", at.string(), " (",
                                       std::system_category().message(error), ")"));
  }
}

}  // namespace tokenwatch
