// What a request line asks for.
#ifndef TOKENWATCH_AGENT_COMMON_HTTP_TARGET_H_
#define TOKENWATCH_AGENT_COMMON_HTTP_TARGET_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace tokenwatch {

struct HttpTarget {
  std::string path;  // percent-decoded, begins with '/'
  // In their order; percent-decoded, '+' is a blank. A name without '=' has an empty value.
  std::vector<std::pair<std::string, std::string>> parameters;
};

// Reads origin form and absolute form (RFC 9112 section 3.2). InvalidArgument on a bad escape, a
// zero byte, more than 64 parameters, or any other form.
absl::StatusOr<HttpTarget> ParseHttpTarget(const std::string& target);

// Writes `text` as part of a path or as a parameter: all but unreserved characters become %XX.
std::string PercentEncode(const std::string& text);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_HTTP_TARGET_H_
