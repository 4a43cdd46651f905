// What stands where a secret should: what programs print for a value that they do not have, and
// what was to be replaced and was not.
#ifndef TOKENWATCH_AGENT_TOKEN_CARRIERS_STAND_IN_H_
#define TOKENWATCH_AGENT_TOKEN_CARRIERS_STAND_IN_H_

#include <string_view>

namespace tokenwatch {

// "undefined", "null", "None", "[object Object]"; "${TOKEN}", "$TOKEN", "{{ token }}", "<token>",
// "%TOKEN%"; a mask, "****", "xxxx". Linear.
bool IsStandIn(std::string_view text);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_CARRIERS_STAND_IN_H_
