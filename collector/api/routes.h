// What can be asked over HTTP: one table that answers requests and describes itself.
#ifndef TOKENWATCH_COLLECTOR_API_ROUTES_H_
#define TOKENWATCH_COLLECTOR_API_ROUTES_H_

#include <google/protobuf/descriptor.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "agent/common/http_server.h"
#include "collector/api/parameters.h"
#include "collector/api/queries.h"
#include "collector/json/json.h"

namespace tokenwatch {

// One path that queries answer.
struct Route {
  std::string path;       // as OpenAPI writes it; one part may be "{id}"
  std::string operation;  // the rpc of v1::Query that it mirrors
  std::string summary;
  std::vector<Parameter> parameters;
  const google::protobuf::Descriptor* answer;
  // `id` is the "{id}" part, empty where there is none.
  std::function<absl::StatusOr<Json>(const Queries&, const v1::ListRequest&, const std::string& id)>
      handle;
  const char* id_help = "";  // what the "{id}" part is
  // What `format=ocsf` answers, lines of JSON; null: there is no such form.
  std::function<absl::StatusOr<HttpResponse>(const Queries&, const v1::ListRequest&)> ocsf =
      nullptr;
};

// The parameter that chooses between "json" and "ocsf", of a route that has both.
inline constexpr char kFormat[] = "format";
inline constexpr char kFormatHelp[] =
    "json, or ocsf: lines of OCSF 1.5.0 (application/x-ndjson), where the field "
    "X-Tokenwatch-Next-Page-Token says where to go on.";

// In the order of the API's description. The table lives as long as the program.
absl::Span<const Route> Routes();

// The route of `path`, and its "{id}" part in `*id`. Null where there is none.
const Route* FindRoute(const std::string& path, std::string* id);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_API_ROUTES_H_
