// Query parameters: the fields of v1::ListRequest under their JSON names.
#ifndef TOKENWATCH_COLLECTOR_API_PARAMETERS_H_
#define TOKENWATCH_COLLECTOR_API_PARAMETERS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

struct Parameter {
  const char* field;  // of ListRequest
  const char* help;   // one sentence for the API's description
};

// Every field of ListRequest; each list takes some.
absl::Span<const Parameter> ListParameters();

// What a list takes: `fields` are names of fields.
std::vector<Parameter> ParametersOf(absl::Span<const char* const> fields);

// `pageSize` is another name of `limit`.
inline constexpr char kPageSize[] = "pageSize";

// Reads a request. InvalidArgument on a name that is not in `allowed`, a name given twice, a value
// that is no number, or neither true nor false, where one is wanted.
absl::StatusOr<v1::ListRequest> ReadParameters(
    absl::Span<const Parameter> allowed,
    const std::vector<std::pair<std::string, std::string>>& given);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_API_PARAMETERS_H_
