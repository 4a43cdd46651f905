// The usual shapes of request ids in about half their bytes, on the wire and at rest.
#ifndef TOKENWATCH_AGENT_COMMON_REQUEST_ID_H_
#define TOKENWATCH_AGENT_COMMON_REQUEST_ID_H_

#include <optional>
#include <string>
#include <string_view>

namespace tokenwatch {

// A UUID, or at most 256 hexadecimal digits of even number, in one case throughout: a letter for
// its shape ('u' UUID, 'h' digits; the capital where it has capitals), then its value. Empty for
// any other text.
std::string PackRequestId(std::string_view text);

// The text that was packed; nothing where PackRequestId makes no such bytes.
std::optional<std::string> UnpackRequestId(std::string_view packed);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_REQUEST_ID_H_
