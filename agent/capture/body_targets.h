// Which exchanges' bodies leave the kernel: those of calls that obtain, renew or end tokens.
//
// The kernel programs know only a request's start line and the beginning of its Host, over HTTP/2
// the values of :path and :authority, so these words are a little wider than the table of calls
// (agent/token/lives/life_calls.h), which decides what becomes of a body: a test holds the two
// together.
#ifndef TOKENWATCH_AGENT_CAPTURE_BODY_TARGETS_H_
#define TOKENWATCH_AGENT_CAPTURE_BODY_TARGETS_H_

#include <string_view>

#include "absl/types/span.h"

namespace tokenwatch {

// Anywhere in the path; '$' at the end of one: where the path ends. Compared with case.
absl::Span<const std::string_view> BodyPathWords();
// Anywhere in the query; '$' likewise.
absl::Span<const std::string_view> BodyQueryWords();
// What the value of Host, or :authority, begins with, in lower case; compared without case.
absl::Span<const std::string_view> BodyHosts();

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_BODY_TARGETS_H_
