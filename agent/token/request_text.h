// Small looks at a request.
#ifndef TOKENWATCH_AGENT_TOKEN_REQUEST_TEXT_H_
#define TOKENWATCH_AGENT_TOKEN_REQUEST_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "agent/http/exchange.h"
#include "agent/token/carriers/extract.h"
#include "agent/token/secret/redact.h"

namespace tokenwatch {

inline constexpr size_t kRequestIdMax = 128;

// The value of the first field of that name; empty where there is none.
std::string_view FirstField(absl::Span<const HeaderField> fields, std::string_view name);

// Of "host:port" and "[address]:port" what is before the port.
std::string_view WithoutPort(std::string_view host);

// The path of a target of origin or absolute form (RFC 9112 section 3.2), without query.
std::string_view PathOfTarget(std::string_view target);

// Whether as many hexadecimal digits and dashes stand in a row as the part of a secret that may not
// show has bytes.
bool HasHexRun(std::string_view text);

// The secrets of a request, none of which may be in what is kept of it. The ids of keys that signed
// it are public, and often parts of hosts and paths.
void AppendSecrets(const Extraction& found, std::vector<std::string_view>* secrets);

// What stands beside the credentials; the first field of each name, null where there is none.
struct BesideFields {
  const HeaderField* host = nullptr;
  const HeaderField* user_agent = nullptr;
  const HeaderField* request_id = nullptr;
  const HeaderField* dpop = nullptr;
  bool may_name_operation = false;  // OperationName has to look
};

// In one pass.
BesideFields FindBesideFields(const RequestHead& request);

inline std::string_view ValueOf(const HeaderField* field) {
  return field == nullptr ? std::string_view() : field->value;
}

// An X-Request-Id, printable, bounded and without anything of the request's secrets or a token.
// `plain`: none of them has a hexadecimal run. Allocates only where `out` is too small, and for an
// id that shares something with a secret or is not printable; `blocks` is memory to work with.
void TakeRequestId(std::string_view id, const Extraction& found, bool plain,
                   const TokenShapes& shapes, BlockSet* blocks, std::string* out);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_REQUEST_TEXT_H_
