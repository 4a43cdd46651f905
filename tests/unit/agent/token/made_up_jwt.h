// Made-up JWTs.
#ifndef TOKENWATCH_TESTS_UNIT_AGENT_TOKEN_MADE_UP_JWT_H_
#define TOKENWATCH_TESTS_UNIT_AGENT_TOKEN_MADE_UP_JWT_H_

#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "tests/unit/agent/token/made_up.h"

namespace tokenwatch {

inline std::string Base64Url(std::string_view text) {
  return absl::WebSafeBase64Escape(absl::string_view(text.data(), text.size()));
}

inline std::string Jwt(std::string_view header, std::string_view payload,
                       std::string_view signature = "c2lnbmF0dXJl") {
  return Base64Url(header) + "." + Base64Url(payload) + "." + std::string(signature);
}

// Stands for the hash of a person.
inline std::string Masked(std::string_view person) {
  return "<" + std::to_string(person.size()) + ">";
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_AGENT_TOKEN_MADE_UP_JWT_H_
