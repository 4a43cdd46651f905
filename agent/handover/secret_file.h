// Secret bytes that one process gives another: a file that is memory only, has no name, and is
// wiped.
#ifndef TOKENWATCH_AGENT_HANDOVER_SECRET_FILE_H_
#define TOKENWATCH_AGENT_HANDOVER_SECRET_FILE_H_

#include <cstddef>
#include <string_view>

#include "absl/status/statusor.h"
#include "agent/capture/unique_fd.h"
#include "agent/common/secret_buffer.h"

namespace tokenwatch {

// Wiped when it goes, and by whoever reads it. Kept out of swap where the limit on locked memory
// (RLIMIT_MEMLOCK) allows.
class SecretFile {
 public:
  SecretFile() = default;  // without a file
  static absl::StatusOr<SecretFile> Make(std::string_view bytes);
  SecretFile(SecretFile&& other) noexcept;
  SecretFile& operator=(SecretFile&& other) noexcept;
  SecretFile(const SecretFile&) = delete;
  SecretFile& operator=(const SecretFile&) = delete;
  ~SecretFile() { Wipe(); }

  int fd() const { return fd_.get(); }  // -1: none

 private:
  void Wipe();

  UniqueFd fd_;
  void* bytes_ = nullptr;  // mapped
  size_t size_ = 0;
};

// What another process's SecretFile holds, which is wiped. InvalidArgument where `fd` is no such
// file or holds more than `limit` bytes.
absl::StatusOr<SecretBuffer> TakeSecrets(const UniqueFd& fd, size_t limit);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HANDOVER_SECRET_FILE_H_
