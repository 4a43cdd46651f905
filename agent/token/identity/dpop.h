// Tokens that only the holder of a key may use (RFC 9449).
#ifndef TOKENWATCH_AGENT_TOKEN_IDENTITY_DPOP_H_
#define TOKENWATCH_AGENT_TOKEN_IDENTITY_DPOP_H_

#include <string>
#include <string_view>

namespace tokenwatch {

// "dpop:" and the thumbprint (RFC 7638) of the key that `proof`, the value of a request's DPoP
// field, is made with, where it is a proof for `token`: it names the hash of the token in "ath".
// Its signature is not verified. Empty otherwise: a proof for another token of the request, or one
// for a token endpoint, binds nothing. Linear.
std::string BindingByProof(std::string_view proof, std::string_view token);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_IDENTITY_DPOP_H_
