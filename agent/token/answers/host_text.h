// Hosts as clients spell them.
#ifndef TOKENWATCH_AGENT_TOKEN_ANSWERS_HOST_TEXT_H_
#define TOKENWATCH_AGENT_TOKEN_ANSWERS_HOST_TEXT_H_

#include <string>
#include <string_view>

namespace tokenwatch {

// Lower case, without the root's dot, and with labels of other letters in their ASCII form (RFC
// 5891; of capital letters only ASCII's become small). Linear in what kHostMax bounds.
std::string AsciiHost(std::string_view host);

// Whether the address is of this machine or of its link, as metadata services of clouds are: what
// is sent there passes no network that others share. `address` is textual, also of IPv4 in IPv6.
bool IsOfThisMachine(std::string_view address);

// ::ffff:192.0.2.1 as 192.0.2.1.
std::string_view WithoutMapping(std::string_view address);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_ANSWERS_HOST_TEXT_H_
