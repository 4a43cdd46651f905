#include "agent/handover/secret_file.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"

namespace tokenwatch {
namespace {

// Shrinking it under the reader would be a SIGBUS there.
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

}  // namespace

absl::StatusOr<SecretFile> SecretFile::Make(std::string_view bytes) {
  SecretFile file;
  if (bytes.empty()) return file;
  file.fd_ = UniqueFd(memfd_create("tokenwatch-handover", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.fd_.valid()) return absl::ErrnoToStatus(errno, "making a file in memory");
  if (ftruncate(file.fd(), static_cast<off_t>(bytes.size())) != 0 ||
      fcntl(file.fd(), F_ADD_SEALS, kSeals) != 0) {
    return absl::ErrnoToStatus(errno, "sizing a file in memory");
  }
  void* at = mmap(nullptr, bytes.size(), PROT_READ | PROT_WRITE, MAP_SHARED, file.fd(), 0);
  if (at == MAP_FAILED) return absl::ErrnoToStatus(errno, "mapping a file in memory");
  file.bytes_ = at;
  file.size_ = bytes.size();
  mlock(at, bytes.size());
  std::memcpy(at, bytes.data(), bytes.size());
  return file;
}

SecretFile::SecretFile(SecretFile&& other) noexcept
    : fd_(std::move(other.fd_)),
      bytes_(std::exchange(other.bytes_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

SecretFile& SecretFile::operator=(SecretFile&& other) noexcept {
  if (this != &other) {
    Wipe();
    fd_ = std::move(other.fd_);
    bytes_ = std::exchange(other.bytes_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void SecretFile::Wipe() {
  if (bytes_ != nullptr) {
    OPENSSL_cleanse(bytes_, size_);
    munmap(bytes_, size_);
  }
  bytes_ = nullptr;
  size_ = 0;
  fd_ = UniqueFd();
}

absl::StatusOr<SecretBuffer> TakeSecrets(const UniqueFd& fd, size_t limit) {
  const auto strange = [] {
    return absl::InvalidArgumentError("what came with the hand-over is no file in memory");
  };
  struct stat status = {};
  const int seals = fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals || fstat(fd.get(), &status) != 0) return strange();
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0 || size > limit) return strange();
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (at == MAP_FAILED) return absl::ErrnoToStatus(errno, "mapping what came with the hand-over");
  SecretBuffer bytes;
  bytes.Reserve(size);
  bytes.Append({static_cast<const char*>(at), size});
  OPENSSL_cleanse(at, size);
  munmap(at, size);
  return bytes;
}

}  // namespace tokenwatch
