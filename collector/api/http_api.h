// The collector's HTTP interface: /v1/..., /healthz, /readyz, /metrics, /openapi.json.
#ifndef TOKENWATCH_COLLECTOR_API_HTTP_API_H_
#define TOKENWATCH_COLLECTOR_API_HTTP_API_H_

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "agent/common/counters.h"
#include "agent/common/http_server.h"
#include "collector/api/metrics.h"
#include "collector/api/queries.h"
#include "collector/api/request_counts.h"

namespace tokenwatch {

// Turns requests into answers. Thread safe.
class HttpApi {
 public:
  struct Options {
    // Answer only requests that name a loopback host: whoever listens on TCP without TLS needs it,
    // or any web page can ask through its reader's browser under a name of its own (DNS rebinding).
    bool local_hosts_only = true;
    // Whether the value of an Authorization field lets its sender ask: for metrics, or for
    // anything. Without it everybody may. /healthz and /readyz never ask. Any thread.
    std::function<absl::Status(std::string_view authorization, bool metrics)> authorize = nullptr;
    // Adds counters of other rooms to /metrics; may be empty. Any thread.
    std::function<void(Counters*)> add_counters;
    // Why uses cannot be taken in, besides the store's health; may be empty. Any thread.
    std::function<absl::Status()> health = nullptr;
    // For /metrics; may be empty. Any thread.
    std::function<std::vector<CertificateLife>()> certificates = nullptr;
    // Counts of gRPC queries for /metrics; may be null.
    const RequestCounts* grpc_counts = nullptr;
  };

  explicit HttpApi(Options options);

  // From now on queries are answered, and /readyz follows the store's health. `queries` must
  // outlive this. Before, both say that the collector is starting.
  void SetReady(const Queries* queries) { queries_ = queries; }

  HttpResponse Handle(const HttpRequest& request);

 private:
  HttpResponse Answer(const HttpRequest& request, std::string* name);
  HttpResponse Ready() const;
  HttpResponse Metrics() const;

  Options options_;
  const std::string open_api_;
  const int64_t started_seconds_;
  std::atomic<const Queries*> queries_{nullptr};
  RequestCounts counts_;
};

// `{"code", "message"}` and the HTTP status that fits a failed query.
HttpResponse ErrorResponse(const absl::Status& status);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_API_HTTP_API_H_
