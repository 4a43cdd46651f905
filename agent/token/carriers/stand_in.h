// What stands where a secret should: what programs print for a value that they do not have, and
// what was to be replaced and was not; and what stands where a secret might.
#ifndef TOKENWATCH_AGENT_TOKEN_CARRIERS_STAND_IN_H_
#define TOKENWATCH_AGENT_TOKEN_CARRIERS_STAND_IN_H_

#include <string_view>

namespace tokenwatch {

// "undefined", "null", "None", "[object Object]"; "${TOKEN}", "$TOKEN", "{{ token }}", "<token>",
// "%TOKEN%"; a mask, "****", "xxxx"; "YOUR_API_KEY", "your-token-here", "ACCESS_TOKEN". Linear.
bool IsStandIn(std::string_view text);

// Whether a value is made of words and numbers as names, paths and cursors are: "title", "2",
// "next-page-2", "users/42/name", "PageToken". Linear.
bool IsPlain(std::string_view text);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_CARRIERS_STAND_IN_H_
