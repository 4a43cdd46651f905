// What a request asked for: host, path template and names of query parameters, without secrets.
#ifndef TOKENWATCH_AGENT_TOKEN_PATHS_PATH_H_
#define TOKENWATCH_AGENT_TOKEN_PATHS_PATH_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "agent/http/exchange.h"
#include "agent/token/secret/redact.h"

namespace tokenwatch {

inline constexpr size_t kHostMax = 255;
inline constexpr size_t kPathMax = 1024;
inline constexpr size_t kQueryMax = 512;
inline constexpr size_t kQueryNameMax = 64;
inline constexpr size_t kQueryNamesMax = 32;

// Printable ASCII; what does not fit the bounds above is cut off.
struct Resource {
  std::string scheme;  // "https" or "http"
  // Lower case, without userinfo and the scheme's default port. Of CONNECT the authority with its
  // port.
  std::string host;
  // PathTemplate; "*" of OPTIONS *, empty of CONNECT. Of an outbound request PathLearner makes of
  // it what is reported: names become {name} or, in known APIs, {owner} and the like; of a GraphQL
  // operation "#Name" follows, as in "/graphql#GetUser". No template holds another '#'.
  std::string path;
  std::string query;  // QueryNames
};

// The target of any form (RFC 9112 section 3.2) and, where it names no host, the first Host field.
// An absolute form says the scheme, else ":scheme" does, else the layer. `secrets` are the
// request's own; where one occurs in what is kept, kSecretMark stands.
Resource DescribeResource(const RequestHead& request, const SecretFinder& secrets);

// Eight, four, four, four and twelve hexadecimal digits with dashes between.
bool IsUuid(std::string_view text);

// A path, without query, segment by segment: only digits become {id} (also in 7.json, 7:cancel,
// id=7), a UUID {uuid}, 16 or more hexadecimal digits {hex}, these two also behind a '-' or '_' and
// the like. A segment that looks like a secret (LooksLikeSecret, a JWT, user:password@, Telegram's
// bot1:x, a row of SecretPaths(), anything with a part of `secrets`) becomes {secret} as a whole.
// Mail addresses, phone numbers, addresses of machines, dates and ids with a prefix become {email},
// {phone}, {ip}, {date} and cus_{id} (identifiers.h). Words and versions stay. Bytes are made safe
// as Printable does. `host` decides about rows that would be ordinary elsewhere.
std::string PathTemplate(std::string_view path, const SecretFinder& secrets,
                         std::string_view host = {});

// Distinct names of a query's parameters as sent, joined by '&'; what looks like a secret becomes
// {secret}.
std::string QueryNames(std::string_view query, const SecretFinder& secrets);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_PATHS_PATH_H_
