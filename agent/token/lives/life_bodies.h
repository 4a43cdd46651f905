// What the bodies of a call of LifeCalls() hold.
#ifndef TOKENWATCH_AGENT_TOKEN_LIVES_LIFE_BODIES_H_
#define TOKENWATCH_AGENT_TOKEN_LIVES_LIFE_BODIES_H_

#include <optional>
#include <string_view>
#include <vector>

#include "agent/common/secret_buffer.h"
#include "agent/http/exchange.h"
#include "agent/token/lives/life_calls.h"

namespace tokenwatch {

struct AskedSecret {
  const AskedField* field = nullptr;  // of the row
  SecretBuffer secret;
};

struct AskedBody {
  bool is_call = true;  // false: a form without what the row needs, so another call
  std::vector<AskedSecret> secrets;
};

struct GivenSecret {
  GivenRole role = GivenRole::kToken;
  SecretBuffer secret;
};

// `coding`: the value of Content-Encoding. Nothing where it cannot be undone.
std::optional<AskedBody> ReadAskedBody(const LifeCallRow& row, std::string_view coding,
                                       const Body& body);
std::optional<std::vector<GivenSecret>> ReadGivenBody(const LifeCallRow& row,
                                                      std::string_view coding, const Body& body);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_LIVES_LIFE_BODIES_H_
