// One observed request that carried a credential, with its result and without its secret.
#ifndef TOKENWATCH_AGENT_TOKEN_TOKEN_USE_H_
#define TOKENWATCH_AGENT_TOKEN_TOKEN_USE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "agent/http/exchange.h"

namespace tokenwatch {

// 128 bits of a keyed hash (design: Fingerprint and secrets).
using TokenIdBytes = std::array<uint8_t, 16>;

struct TokenPair {
  std::string key_id;  // "key_" and eight digits
  TokenIdBytes token_id{};
};

// What is notable about a use, each a bit: UseTrait of event.proto, which says what they mean.
namespace trait {
inline constexpr uint32_t kForeignHost = 1;
inline constexpr uint32_t kInQuery = 2;
inline constexpr uint32_t kCleartext = 4;
inline constexpr uint32_t kExpired = 8;
inline constexpr uint32_t kAlgNone = 16;
inline constexpr uint32_t kRedirected = 32;
inline constexpr uint32_t kByContext = 64;
inline constexpr uint32_t kBadChecksum = 128;
}  // namespace trait

// Something learnt of a token (agent/common/facts.h says which names there are). Printable ASCII.
struct TokenFact {
  std::string_view name;  // a constant
  std::string value;
};

// Strings come from captured bytes: bounded and printable ASCII, any other byte percent-encoded;
// still hostile wherever they are shown.

// A token as it is known at one place. Immutable once shared, as all uses of it there do.
struct UseCredential {
  // There was a credential but not all of its bytes, or there may have been one in HTTP/2 fields
  // that are unknown; then `carrier` is empty. `tokens` and `user_ids` are empty and `token_length`
  // is 0.
  bool unresolved = false;
  std::vector<TokenPair> tokens;  // one a fleet key in force; the first is the primary key's
  std::string format;             // a row's id of agent/token/formats/formats.yaml, else "opaque"
  std::string provider;
  std::string carrier;        // e.g. "authorization/bearer", "header/x-api-key", "query/key"
  uint32_t token_length = 0;  // bytes of the normalised secret
  // Fingerprints of the other part of Basic, in the order of `tokens`; of a domain of their own, so
  // they never equal a token id. Empty where there is none.
  std::vector<TokenIdBytes> user_ids;
};

// What a request asked for, and how. Immutable once shared, as all uses of alike requests do.
struct UseRequest {
  std::string method;
  std::string scheme;        // "https" or "http"
  std::string host;          // that the request names, lower case, default port removed
  std::string path;          // template; no query
  std::string query;         // parameter names joined by '&'
  std::string http_version;  // "1.0", "1.1", "2"
  std::string user_agent;
  bool inbound = false;
  std::string probe;  // "openssl" or "socket"
};

inline std::shared_ptr<const UseCredential> NoCredential() {
  static const auto none = std::make_shared<const UseCredential>();
  return none;
}
inline std::shared_ptr<const UseRequest> NoRequest() {
  static const auto none = std::make_shared<const UseRequest>();
  return none;
}

struct TokenUse {
  uint64_t exchange = 0;  // of RequestHead; not reported
  absl::Time time;        // when the call that sent the first request byte was entered
  std::shared_ptr<const UseCredential> credential = NoCredential();  // never null
  std::shared_ptr<const UseRequest> request = NoRequest();           // never null
  std::string request_id;
  int status = 0;                  // 0: unanswered
  std::optional<int> grpc_status;  // of a gRPC call's answer, 0 to 16
  uint64_t latency_us = 0;
  Peer peer;
  uint64_t process = 0;  // of the segments; names the workload
  uint32_t pid = 0;
  uint32_t count = 1;
  uint32_t traits = 0;           // of trait::
  std::vector<TokenFact> facts;  // to be told of the token with this use
};

// Bytes of what it shares with others, about.
inline size_t SharedBytes(const TokenUse& use) {
  const UseCredential& token = *use.credential;
  const UseRequest& request = *use.request;
  size_t bytes = sizeof(UseCredential) + sizeof(UseRequest) +
                 token.tokens.size() * sizeof(TokenPair) +
                 token.user_ids.size() * sizeof(TokenIdBytes);
  for (const std::string* text : {&token.format, &token.provider, &token.carrier, &request.method,
                                  &request.scheme, &request.host, &request.path, &request.query,
                                  &request.http_version, &request.user_agent, &request.probe}) {
    bytes += text->size();
  }
  return bytes;
}

// Receives finished uses, on the draining thread. The use is valid during the call; a copy shares
// what it has in common with others.
class UseSink {
 public:
  virtual ~UseSink() = default;
  virtual void OnUse(const TokenUse& use) = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_TOKEN_USE_H_
