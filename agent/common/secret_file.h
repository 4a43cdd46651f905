// Small files that hold a secret: enrolment secrets, credentials, keys.
#ifndef TOKENWATCH_AGENT_COMMON_SECRET_FILE_H_
#define TOKENWATCH_AGENT_COMMON_SECRET_FILE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/common/secret_buffer.h"

namespace tokenwatch {

// The bytes of a regular file of at most 64 KiB, in wiped memory. `what` begins the error, which is
// a sentence: NotFound where there is no file.
absl::StatusOr<SecretBuffer> ReadSecretFile(const std::string& path, const std::string& what);

// The same without the blanks and line ends around the text; InvalidArgument where nothing is left.
absl::StatusOr<SecretBuffer> ReadSecretText(const std::string& path, const std::string& what);

// PermissionDenied, with what to do, where somebody else may read or change the file: it is root's
// or ours, and of others at most our own group may read it.
absl::Status CheckSecretAccess(const std::string& path, const std::string& what);

// Makes a file that only its owner can read (`mode` otherwise) and that holds all of `bytes` or
// does not exist, even after a power loss. AlreadyExists where something is at `path`, which is
// left alone.
absl::Status WriteNewFile(const std::string& path, std::string_view bytes, unsigned mode = 0600);

// The same, in place of what is there.
absl::Status ReplaceFile(const std::string& path, std::string_view bytes, unsigned mode = 0600);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_SECRET_FILE_H_
