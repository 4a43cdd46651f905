// The words of the states of tokens.
#ifndef TOKENWATCH_COLLECTOR_STORE_TOKEN_STATE_H_
#define TOKENWATCH_COLLECTOR_STORE_TOKEN_STATE_H_

#include <algorithm>
#include <iterator>
#include <string_view>

namespace tokenwatch {

inline constexpr char kTokenActive[] = "active";
inline constexpr char kTokenDormant[] = "dormant";
inline constexpr char kTokenExpired[] = "expired";
inline constexpr char kTokenRotated[] = "rotated";
inline constexpr char kTokenRevoked[] = "revoked";
inline constexpr char kTokenUnmapped[] = "unmapped";

inline constexpr const char* kTokenStates[] = {kTokenActive,  kTokenDormant, kTokenExpired,
                                               kTokenRotated, kTokenRevoked, kTokenUnmapped};

constexpr bool IsTokenState(std::string_view word) {
  return std::any_of(std::begin(kTokenStates), std::end(kTokenStates),
                     [word](const char* state) { return word == state; });
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_TOKEN_STATE_H_
