// Which operation of a GraphQL API a request asks for, where its head says so.
#ifndef TOKENWATCH_AGENT_TOKEN_PATHS_GRAPHQL_H_
#define TOKENWATCH_AGENT_TOKEN_PATHS_GRAPHQL_H_

#include <cstddef>
#include <string_view>

#include "agent/http/exchange.h"
#include "agent/token/secret/redact.h"

namespace tokenwatch {

inline constexpr size_t kOperationMax = 64;

// The name from a header that clients use for it (X-Apollo-Operation-Name and the like), else from
// "operationName" in the query of a path that ends in /graphql. A name as the GraphQL specification
// has it (section 2.1.9), at most kOperationMax bytes; empty where there is none, where it looks
// like a secret or where a part of `secrets` is in it. Points into the request.
std::string_view OperationName(const RequestHead& request, const SecretFinder& secrets);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_PATHS_GRAPHQL_H_
