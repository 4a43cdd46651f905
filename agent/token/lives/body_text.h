// Bodies of calls that concern the life of tokens: undoing their coding and taking members out.
#ifndef TOKENWATCH_AGENT_TOKEN_LIVES_BODY_TEXT_H_
#define TOKENWATCH_AGENT_TOKEN_LIVES_BODY_TEXT_H_

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "agent/common/secret_buffer.h"

namespace tokenwatch {

// Decoded bytes of a body that are looked at.
inline constexpr size_t kBodyTextMax = 65536;

struct DecodedBody {
  SecretBuffer text;  // a copy that can be changed
  bool whole =
      false;  // else the end of its coding was not there, or it is longer than kBodyTextMax
};

// `coding` is the value of Content-Encoding. Of a body that was cut, what there is. Nothing for
// codings but one of gzip and deflate, and identity; and where the bytes are none of theirs. What
// zlib frees is wiped.
std::optional<DecodedBody> DecodeBody(std::string_view coding, std::string_view bytes);

// A member of a body's object, and its value where it was found.
struct BodyMember {
  std::string_view outer, name;
  SecretBuffer text;          // empty: not there, or no string
  double number = 0;          // of JSON, where it is a number
  std::optional<bool> truth;  // of JSON, where it is true or false
};

// A form (the URL standard's application/x-www-form-urlencoded): `outer` is ignored. Where the body
// was cut its last parameter is left out.
void ReadForm(std::string_view body, bool complete, absl::Span<BodyMember> members);
// JSON: an object's members, or those of an object in it. `body` is changed.
void ReadJson(SecretBuffer* body, absl::Span<BodyMember> members);
// XML: text of elements `name` directly inside of an element `outer`, the first of each. One that
// is not closed, or holds others, has none.
void ReadXml(std::string_view body, absl::Span<BodyMember> members);

// What the body looks like, by its first character behind a byte order mark and blanks: form, JSON
// or XML.
void ReadBody(SecretBuffer* body, bool complete, absl::Span<BodyMember> members);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_LIVES_BODY_TEXT_H_
