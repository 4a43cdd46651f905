// The API's own description.
#ifndef TOKENWATCH_COLLECTOR_API_OPENAPI_H_
#define TOKENWATCH_COLLECTOR_API_OPENAPI_H_

#include "collector/json/json.h"

namespace tokenwatch {

// OpenAPI 3.1, made from the table of routes and the descriptors of the messages, so that it says
// what the API does. Its schemas are JSON Schema 2020-12.
Json OpenApi();

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_API_OPENAPI_H_
