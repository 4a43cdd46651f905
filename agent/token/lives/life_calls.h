// Calls that obtain, renew, end or ask about tokens: one row a kind of call. To add one, add a row
// with its sample, and where its path has no word in agent/capture/body_targets.cc one there; a
// test walks all rows and holds the two together.
#ifndef TOKENWATCH_AGENT_TOKEN_LIVES_LIFE_CALLS_H_
#define TOKENWATCH_AGENT_TOKEN_LIVES_LIFE_CALLS_H_

#include <array>
#include <cstdint>
#include <string_view>

#include "absl/types/span.h"

namespace tokenwatch {

// What a secret in a request's body is there for.
enum class AskedRole : uint8_t {
  kProof,    // who has it may have the token
  kSpent,    // likewise, and what the answer gives in its place replaces it
  kSubject,  // the call is about it
};

// A member of a JSON object or a parameter of a form.
struct AskedField {
  std::string_view name;
  AskedRole role = AskedRole::kProof;
  std::string_view carrier;  // of the use, e.g. "body/refresh_token"
};

enum class GivenRole : uint8_t {
  kToken,
  kRefresh,      // obtains further tokens, and replaces what was kSpent
  kReplacement,  // replaces the token that made the call
};

// A member of an answer's JSON, of an object in it where `outer` is not empty; of XML an element in
// an element `outer`.
struct GivenField {
  std::string_view outer, name;
  GivenRole role = GivenRole::kToken;
};

enum class LifeEvent : uint8_t {
  kObtains,
  kRevokes,        // the kSubject; of a call whose subject was not read nothing is known
  kRevokesItself,  // the kSubject, or, where there is none, the token that makes the call
  kChecks,         // the kSubject
};

struct LifeCallRow {
  std::string_view id;
  std::string_view method;  // empty: any
  std::string_view host;    // as formats.yaml has patterns; empty: any; "sts.*": begins so
  // Segments; "*" stands for any one, "**" at the beginning for any number.
  std::string_view path;
  std::string_view needs;  // parameter or member without which a body is of another call
  LifeEvent event;
  std::array<AskedField, 8> asked;  // unused ones are empty
  std::array<GivenField, 5> given;
  bool gives_text;  // all of the answer is the token
  // A made-up call: request line's target, host, bodies; <S> and <T> stand for secrets asked and
  // given.
  std::string_view sample_target, sample_host, sample_asked, sample_given;
  std::string_view near_miss;  // a target that is none
  // Parameter of the query without which the call is another. In `sample_target` it is there.
  std::string_view needs_query = {};
  // Member of the answer's JSON that is false where nothing was done.
  std::string_view denied_by = {};
};

// In the order in which they are tried.
absl::Span<const LifeCallRow> LifeCalls();

// A row that stands for no call.
const LifeCallRow& NoLifeCall();

// Whether the path (without query) may be that of a row, whatever the method and host. Cheap, but
// for a path with '%'.
bool MayBeLifeCall(std::string_view path);

// `host` in lower case without port, `query` as it is sent. A '/' at the end of the path and
// percent-encoding do not matter, as they do not to most servers. Null where it is none.
const LifeCallRow* FindLifeCall(std::string_view method, std::string_view host,
                                std::string_view path, std::string_view query = {});

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_LIVES_LIFE_CALLS_H_
