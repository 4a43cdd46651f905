// What the bodies of a call of LifeCalls() hold.
#ifndef TOKENWATCH_AGENT_TOKEN_LIVES_LIFE_BODIES_H_
#define TOKENWATCH_AGENT_TOKEN_LIVES_LIFE_BODIES_H_

#include <optional>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "agent/common/secret_buffer.h"
#include "agent/http/exchange.h"
#include "agent/token/jwt/jwt.h"
#include "agent/token/lives/life_calls.h"
#include "agent/token/token_use.h"

namespace tokenwatch {

struct AskedSecret {
  const AskedField* field = nullptr;  // of the row
  SecretBuffer secret;
};

struct AskedBody {
  bool is_call = true;  // false: without what the row needs, so another call
  std::vector<AskedSecret> secrets;
};

struct GivenSecret {
  GivenRole role = GivenRole::kToken;
  SecretBuffer secret;
  std::vector<TokenFact> facts;  // that the answer tells of it: expiry, scopes
};

struct GivenBody {
  std::vector<GivenSecret> secrets;
  bool denied = false;         // LifeCallRow::denied_by
  bool invalid_grant = false;  // RFC 6749 section 5.2: what was to be spent is worth nothing
  // Of a call that checks (RFC 7662): whether the subject is good, and what is told of it.
  std::optional<bool> active;
  std::vector<TokenFact> of_subject;
};

// `coding`: the value of Content-Encoding. Nothing where it cannot be undone.
std::optional<AskedBody> ReadAskedBody(const LifeCallRow& row, std::string_view coding,
                                       const Body& body);
// What cannot be a secret (CannotBeSecret) is none. Facts are bounded and hold nothing of the
// body's secrets. `now`: what "expires_in" counts from.
std::optional<GivenBody> ReadGivenBody(const LifeCallRow& row, std::string_view coding,
                                       const Body& body, absl::Time now, PersonHasher hash_person);

// Too short for a token, or words: what pages of lists, states and types are named with.
bool CannotBeSecret(std::string_view text);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_LIVES_LIFE_BODIES_H_
