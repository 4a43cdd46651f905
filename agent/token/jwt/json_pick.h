// Taking a few members out of a small JSON object that holds secrets as well.
#ifndef TOKENWATCH_AGENT_TOKEN_JWT_JSON_PICK_H_
#define TOKENWATCH_AGENT_TOKEN_JWT_JSON_PICK_H_

#include <optional>
#include <string_view>

#include "absl/types/span.h"
#include "agent/common/secret_buffer.h"

namespace tokenwatch {

struct JsonMember {
  std::string_view outer, name;  // `outer` is empty for a member of the object itself
  std::string_view text;         // found: of a string; a view into the buffer
  double number = 0;             // found: of a number
  std::optional<bool> truth;     // found: of true or false
};

// Fills in what is found; the last of a name wins. `json` is changed and must outlive the members.
// Linear. False, with some members maybe filled in, where it is no JSON object or nested deeper
// than 16.
bool PickMembers(SecretBuffer* json, absl::Span<JsonMember> members);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_JWT_JSON_PICK_H_
