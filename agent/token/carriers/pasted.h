// What a person pastes to ask about a secret.
#ifndef TOKENWATCH_AGENT_TOKEN_CARRIERS_PASTED_H_
#define TOKENWATCH_AGENT_TOKEN_CARRIERS_PASTED_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "agent/common/secret_buffer.h"
#include "agent/token/carriers/extract.h"

namespace tokenwatch {

struct Pasted {
  SecretBuffer secret;  // normalised as FindCredentials does
  std::string taken;    // what of the input it is, to be shown; empty: all of it
};

// Takes from `text` the one secret in it:
// - of a header line of a known carrier ("Authorization: Bearer X", "x-api-key: X", also behind
//   curl's -H), of a scheme with its credentials ("Basic <base64>") and of a URL (its userinfo,
//   path and query), what the agent would take; of "Cookie: " the one cookie, whatever its name;
//   where `shapes` is given, of any header line the token that identifies itself;
// - of "NAME=value" and "export NAME='value'", the value, or the credentials in it;
// - else all of it, without blanks and quotes around it.
// InvalidArgument where there is none, or where it is not certain what the secret is: a wrong guess
// would look like a token that nobody uses. The error names the character in the way, or says what
// to paste, and holds nothing of `text`.
absl::StatusOr<Pasted> ReadPasted(std::string_view text, const SecretShapes* shapes = nullptr);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_CARRIERS_PASTED_H_
