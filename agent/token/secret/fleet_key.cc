#include "agent/token/secret/fleet_key.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/common/text.h"
#include "agent/token/secret/encoding.h"

namespace tokenwatch {
namespace {

// The digits and some room for blanks; a longer file is refused, whatever it holds.
constexpr size_t kFileMax = 256;

absl::Status OpenError(const std::string& path, int error) {
  const std::string named = absl::StrCat("the fleet key file ", path);
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(
          absl::StrCat(named,
                       " does not exist: copy the fleet's key there, make the first one with "
                       "\"openssl rand -hex 32\", or name another file with --key-file"));
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(
          absl::StrCat(named, " cannot be opened by user ", geteuid(),
                       ": run as root, or let the file belong to that user"));
    default:
      return absl::UnavailableError(absl::StrCat(named, " cannot be read (", std::strerror(error),
                                                 "): repair it, or name another with --key-file"));
  }
}

absl::Status CheckAccess(const std::string& path, const struct stat& file) {
  const std::string named = absl::StrCat("the fleet key file ", path);
  if (!S_ISREG(file.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat(named, " is not a regular file: name a file with --key-file"));
  }
  if (file.st_uid != 0 && file.st_uid != geteuid()) {
    return absl::PermissionDeniedError(absl::StrCat(named, " belongs to user ", file.st_uid,
                                                    ", who could change it: run \"chown ",
                                                    geteuid(), " ", path, "\""));
  }
  if ((file.st_mode & 07177) != 0) {
    return absl::PermissionDeniedError(
        absl::StrFormat("%s has mode %04o, which lets others use it: run \"chmod 600 %s\"", named,
                        file.st_mode & 07777, path));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FleetKey> FleetKey::Load(const std::string& path) {
  // Without O_NONBLOCK a FIFO would hold the start of the agent up.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return OpenError(path, errno);
  const absl::Cleanup close_file = [fd] { close(fd); };
  struct stat file;
  if (fstat(fd, &file) != 0) return OpenError(path, errno);
  if (absl::Status status = CheckAccess(path, file); !status.ok()) return status;

  std::array<char, kFileMax> raw;
  const absl::Cleanup wipe = [&raw] { OPENSSL_cleanse(raw.data(), raw.size()); };
  size_t size = 0;
  while (size < raw.size()) {
    const ssize_t got = read(fd, raw.data() + size, raw.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return OpenError(path, errno);
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  absl::StatusOr<FleetKey> key = FromHex(TrimBlanks({raw.data(), size}));
  if (!key.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the fleet key file ", path, " does not hold ", kBytes * 2,
                     " hexadecimal digits and nothing else: copy the fleet's key again, or "
                     "make the first one with \"openssl rand -hex 32\""));
  }
  return key;
}

absl::StatusOr<FleetKey> FleetKey::FromHex(std::string_view digits) {
  absl::Status malformed = absl::InvalidArgumentError(
      absl::StrCat("a fleet key is ", kBytes * 2, " hexadecimal digits; this is something else"));
  if (digits.size() != kBytes * 2) return malformed;
  SecretBuffer bytes;
  bytes.Reserve(kBytes);
  for (size_t i = 0; i < digits.size(); i += 2) {
    const int high = HexValue(digits[i]);
    const int low = HexValue(digits[i + 1]);
    if (high < 0 || low < 0) return malformed;
    bytes.Append(static_cast<char>(high << 4 | low));
  }
  return FleetKey(std::move(bytes));
}

}  // namespace tokenwatch
