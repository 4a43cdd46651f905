// A small HTTP/1.1 server for answers about ourselves: status, metrics, queries.
//
// Everything that a client sends is bounded: header bytes, body bytes, the time that one request
// may take to arrive and to be answered, and the number of connections. (cpp-httplib 0.11, which
// Debian 12 has, keeps any number of header lines: one connection took 240 MB.)
#ifndef TOKENWATCH_AGENT_COMMON_HTTP_SERVER_H_
#define TOKENWATCH_AGENT_COMMON_HTTP_SERVER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/common/address.h"
#include "agent/common/http_target.h"
#include "agent/common/listen_socket.h"

namespace tokenwatch {

struct HttpRequest {
  std::string method;
  HttpTarget target;
  std::string host;                     // the Host field; empty where there is none
  std::string_view authorization = {};  // the field's value; as long-lived as `body`
  std::string_view body;                // valid during the handler; wiped after it
};

// A server's certificate with its key. Thread safe; servers take up a new one with the next
// connection.
class ServerTls {
 public:
  // `pem` holds the key, then the chain. InvalidArgument where it does not.
  static absl::StatusOr<std::shared_ptr<ServerTls>> Create(std::string_view pem);
  ~ServerTls();
  absl::Status Replace(std::string_view pem);

 private:
  friend class HttpServer;
  struct Impl;
  explicit ServerTls(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> fields;  // further header fields
};

// `{"code": code, "message": message}` with the HTTP status given.
HttpResponse HttpError(int status, const std::string& code, const std::string& message);

class HttpServer {
 public:
  struct Options {
    size_t threads = 4;  // that run handlers
    // When so many are open, the one that has waited longest for a whole request gives way to the
    // next; where all are being answered, more wait to be accepted. Twice as many for a moment.
    size_t connections = 128;
    size_t header_bytes = 16384;
    size_t body_bytes = 0;     // a larger body is refused with 413
    int request_seconds = 10;  // for a request to arrive; also how long a connection may idle
    int answer_seconds = 30;   // for an answer to be taken
    int socket_mode = -1;      // of a Unix socket; -1: as umask has it
    std::shared_ptr<ServerTls> tls = nullptr;   // null: plaintext
    std::atomic<uint64_t>* gave_way = nullptr;  // counts connections; outlives the server
  };
  // Called on any of the threads, several at once. An exception becomes a 500.
  using Handler = std::function<HttpResponse(const HttpRequest&)>;

  // Listens and serves from then on. A Unix socket whose server is gone is replaced; one that is
  // alive, or any other file there, is not. Errors are sentences that name the address.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Create(const Address& address,
                                                            const Options& options,
                                                            Handler handler);
  // The same on a socket that was bound before, perhaps with rights that are gone by now.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Serve(Listener listener,
                                                           const Options& options, Handler handler);
  // Ends connections after the handlers that run, and removes its Unix socket.
  ~HttpServer();

  // Where it listens, with the port that was chosen where 0 was asked for.
  const Address& ListenAddress() const { return address_; }

 private:
  struct Impl;
  HttpServer(Address address, std::unique_ptr<Impl> impl);

  Address address_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_HTTP_SERVER_H_
