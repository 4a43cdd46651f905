// The logins in X-Registry-Auth and X-Registry-Config of the Docker Engine API.
#ifndef TOKENWATCH_AGENT_TOKEN_CARRIERS_REGISTRY_AUTH_H_
#define TOKENWATCH_AGENT_TOKEN_CARRIERS_REGISTRY_AUTH_H_

#include <cstddef>
#include <string_view>
#include <vector>

#include "agent/common/secret_buffer.h"

namespace tokenwatch {

// Empty where the JSON has no such string.
struct RegistryLogin {
  std::string_view user, password, identity_token, registry_token;
  std::string_view auth;  // base64 of user:password

  bool HasSecret() const {
    return !password.empty() || !identity_token.empty() || !registry_token.empty() || !auth.empty();
  }
};

// At most; further ones are left out.
inline constexpr size_t kRegistryLoginsMax = 16;

// Reads each object in `json` that has a secret. The strings are unescaped where they stand, so
// that no copy is made: the views are into `json`, whose bytes change. Of what is no JSON the
// objects before the error.
std::vector<RegistryLogin> ReadRegistryLogins(SecretBuffer* json);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_CARRIERS_REGISTRY_AUTH_H_
