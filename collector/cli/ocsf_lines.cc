#include "collector/cli/ocsf_lines.h"

#include <google/protobuf/util/json_util.h>

#include "collector/json/json.h"
#include "collector/notify/ocsf.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

absl::StatusOr<std::string> OcsfLine(const Json& use) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // of a newer collector
  v1::Use message;
  const auto status = google::protobuf::util::JsonStringToMessage(
      use.dump(-1, ' ', true, Json::error_handler_t::replace), &message, options);
  if (!status.ok()) return absl::UnavailableError("the server sent what is no use");
  return DumpJson(OcsfOfUse(message), true);
}

}  // namespace tokenwatch
