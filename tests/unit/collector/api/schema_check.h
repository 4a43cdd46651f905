// Checks JSON against the schemas of the API's own description.
#ifndef TOKENWATCH_TESTS_UNIT_COLLECTOR_API_SCHEMA_CHECK_H_
#define TOKENWATCH_TESTS_UNIT_COLLECTOR_API_SCHEMA_CHECK_H_

#include <string>

#include "collector/json/json.h"

namespace tokenwatch {

// The first place where `value` is not as `schema` says, as "path: what"; empty where it is.
// Stricter than JSON Schema: a member that the schema does not name is an error, and so is a
// keyword that is not understood here.
std::string SchemaError(const Json& open_api, const Json& schema, const Json& value,
                        const std::string& path = "$");

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_COLLECTOR_API_SCHEMA_CHECK_H_
