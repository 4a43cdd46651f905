// "usr_" and 26 digits: who came with a token as the other part of Basic, as agents hash persons.
#ifndef TOKENWATCH_COLLECTOR_STORE_USER_ID_H_
#define TOKENWATCH_COLLECTOR_STORE_USER_ID_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "agent/common/token_id.h"

namespace tokenwatch {

inline constexpr std::string_view kUserPrefix = "usr_";
inline constexpr size_t kUserIdBytes = 16;

// Empty where `id` is not kUserIdBytes long, as where there was no user.
inline std::string UserIdText(absl::string_view id) {
  if (id.size() != kUserIdBytes) return "";
  return CrockfordText(kUserPrefix, {reinterpret_cast<const uint8_t*>(id.data()), id.size()});
}

// False where `text` is no user's id.
inline bool ParseUserIdText(std::string_view text, std::array<uint8_t, kUserIdBytes>* id) {
  return ParseCrockfordText(kUserPrefix, text, absl::MakeSpan(*id));
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_USER_ID_H_
