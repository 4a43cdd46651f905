// The one string that an operator hands to the fleet, so that agents may enrol.
#ifndef TOKENWATCH_AGENT_COMMON_ENROL_SECRET_H_
#define TOKENWATCH_AGENT_COMMON_ENROL_SECRET_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "agent/common/secret_buffer.h"

namespace tokenwatch {

// Written as "twe_" and 77 Crockford digits of 48 bytes: the SHA-256 of the CA's certificate, by
// which an agent knows the collector before it has any certificate, then 16 random bytes, of which
// the collector keeps a hash only.
struct EnrolSecret {
  std::string ca_sha256;  // 32 bytes
  SecretBuffer secret;    // 16 bytes; all that is sent to the collector

  SecretBuffer Text() const;
};

// Reads what Text writes, with blanks around it. The error is a sentence that says what to do; it
// does not repeat the text.
absl::StatusOr<EnrolSecret> ParseEnrolSecret(std::string_view text);

// A file that holds one secret, in two steps that need not be one process's. NotFound where there
// is no file. `path` is for the error.
absl::StatusOr<SecretBuffer> ReadEnrolSecretFile(const std::string& path);
absl::StatusOr<EnrolSecret> ParseEnrolSecretFile(const std::string& path,
                                                 const absl::StatusOr<SecretBuffer>& text);
// Both.
absl::StatusOr<EnrolSecret> LoadEnrolSecret(const std::string& path);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_ENROL_SECRET_H_
