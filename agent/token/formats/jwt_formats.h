// Which kind of token a JWT is, by its header and claims. One row a format, with samples; a test
// walks all rows.
#ifndef TOKENWATCH_AGENT_TOKEN_FORMATS_JWT_FORMATS_H_
#define TOKENWATCH_AGENT_TOKEN_FORMATS_JWT_FORMATS_H_

#include <string_view>

#include "absl/types/span.h"
#include "agent/token/jwt/jwt.h"

namespace tokenwatch {

struct JwtFormatRow {
  std::string_view format;    // id of a row of formats.yaml
  std::string_view provider;  // as there
  bool (*is)(const JwtFacts& jwt);
  // JSON of header and payload of a token that is, and of one that almost is.
  std::string_view header, payload;
  std::string_view other_header, other_payload;
};

// In the order in which they are tried.
absl::Span<const JwtFormatRow> JwtFormatRows();

// The row that the token fits, else "jwe" or "jwt". Who made the token can claim anything: this
// says what it wants to be taken for.
const JwtFormatRow& RowByClaims(const JwtFacts& jwt);
// Whether it says more than that the token is a JWT or JWE.
bool IsSpecific(const JwtFormatRow& row);
inline std::string_view FormatByClaims(const JwtFacts& jwt) { return RowByClaims(jwt).format; }

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_FORMATS_JWT_FORMATS_H_
