// "cred_" and 26 digits: what tokens stand for, as agents compute it.
#ifndef TOKENWATCH_COLLECTOR_STORE_CREDENTIAL_ID_H_
#define TOKENWATCH_COLLECTOR_STORE_CREDENTIAL_ID_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/types/span.h"
#include "agent/common/token_id.h"

namespace tokenwatch {

inline constexpr std::string_view kCredentialPrefix = "cred_";

// `id` is 16 bytes.
inline std::string CredentialIdText(absl::Span<const uint8_t> id) {
  return CrockfordText(kCredentialPrefix, id);
}

// False where `text` is no credential's id.
inline bool ParseCredentialIdText(std::string_view text, std::array<uint8_t, 16>* id) {
  return ParseCrockfordText(kCredentialPrefix, text, absl::MakeSpan(*id));
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_CREDENTIAL_ID_H_
