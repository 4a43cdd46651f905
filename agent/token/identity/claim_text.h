// What is shown of a claim's text.
#ifndef TOKENWATCH_AGENT_TOKEN_IDENTITY_CLAIM_TEXT_H_
#define TOKENWATCH_AGENT_TOKEN_IDENTITY_CLAIM_TEXT_H_

#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"

namespace tokenwatch {

// Whether a text is, as a whole, a token of a format that cannot be mistaken.
using TokenTest = absl::FunctionRef<bool(std::string_view)>;

// Claims are chosen by whoever asked for the token, so other tokens may stand in them. `claim` is
// printable. Empty where a part of it, between separators, is a token. A URL loses its userinfo,
// query and fragment, and of its path the secret of a webhook. Linear.
std::string ShownClaim(std::string_view claim, TokenTest is_token);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_IDENTITY_CLAIM_TEXT_H_
