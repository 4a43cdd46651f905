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

// Where the collector is, and how to be let in.
struct Server {
  std::string url = "http://127.0.0.1:7480";  // http://HOST:PORT, https://HOST:PORT or unix:PATH
  std::string ca_file;          // PEM, the only authority that is trusted; empty: the system's
  std::string credential_file;  // holds what goes behind "Bearer"; empty: none is sent
};

// One request at a time. Errors are sentences: Unavailable where the server cannot be reached or is
// not the one of ours that knows such paths, NotFound and InvalidArgument with the server's own
// words, the latter also where a credential is missing or wrong.
class Client {
 public:
  // Never through a proxy: plaintext stays on this host. A credential is never sent over plain HTTP
  // to another host.
  explicit Client(Server server) : server_(std::move(server)) {}

  absl::StatusOr<Json> Get(const std::string& path, const Parameters& parameters) const;

  // Posts bytes, which are secret: they are read where they are.
  absl::StatusOr<Json> Post(const std::string& path, std::string_view body) const;

 private:
  absl::StatusOr<Json> Perform(const std::string& path, const std::string_view* body) const;

  Server server_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_CLIENT_H_
