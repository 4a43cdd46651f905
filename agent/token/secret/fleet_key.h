// The key under which a fleet's tokens are fingerprinted.
#ifndef TOKENWATCH_AGENT_TOKEN_SECRET_FLEET_KEY_H_
#define TOKENWATCH_AGENT_TOKEN_SECRET_FLEET_KEY_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "agent/common/secret_buffer.h"

namespace tokenwatch {

// 32 bytes in wiped memory. Movable; immutable.
class FleetKey {
 public:
  static constexpr size_t kBytes = 32;

  // Reads 64 hexadecimal digits, blanks and line ends around them allowed. The file must be a
  // regular one that belongs to root or to this process's user, with mode 0600 or stricter (links
  // are followed: Kubernetes mounts secrets through them). Every failure is one sentence that
  // names the file and says what to do, and never shows what the file holds.
  static absl::StatusOr<FleetKey> Load(const std::string& path);

  // As in the file. InvalidArgument where the text is anything but 64 hexadecimal digits.
  static absl::StatusOr<FleetKey> FromHex(std::string_view digits);

  std::string_view Bytes() const { return bytes_.view(); }

 private:
  explicit FleetKey(SecretBuffer bytes) : bytes_(std::move(bytes)) {}

  SecretBuffer bytes_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_SECRET_FLEET_KEY_H_
