// HTTP to the collector, and to the local agent's socket.
#ifndef TOKENWATCH_COLLECTOR_CLI_CLIENT_H_
#define TOKENWATCH_COLLECTOR_CLI_CLIENT_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace tokenwatch {

using Json = nlohmann::ordered_json;
using Parameters = std::vector<std::pair<std::string, std::string>>;  // empty values are not sent

// One request at a time. Errors are sentences: Unavailable where the server cannot be reached or is
// not the one of ours that knows such paths, NotFound and InvalidArgument with the server's own
// words.
class Client {
 public:
  // `server` is http://HOST:PORT or unix:PATH. Never through a proxy: plaintext stays on this host.
  explicit Client(std::string server) : server_(std::move(server)) {}

  absl::StatusOr<Json> Get(const std::string& path, const Parameters& parameters) const;

  // Posts bytes, which are secret: they are read where they are.
  absl::StatusOr<Json> Post(const std::string& path, std::string_view body) const;

 private:
  absl::StatusOr<Json> Perform(const std::string& path, const std::string_view* body) const;

  std::string server_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_CLIENT_H_
