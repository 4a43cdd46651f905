#include "agent/status/status_pages.h"

#include <utility>

#include "agent/common/prometheus_text.h"

namespace tokenwatch {

absl::StatusOr<Listener> ListenForStatus(const std::string& listen) {
  absl::StatusOr<Address> address = ParseAddress(listen);
  if (!address.ok()) return address.status();
  absl::StatusOr<Listener> listener = Listener::Open(*std::move(address), kStatusSocketMode);
  if (listener.ok()) return listener;
  return absl::Status(listener.status().code(),
                      absl::StrCat("--status-listen: ", listener.status().message()));
}

absl::StatusOr<std::unique_ptr<HttpServer>> ServeStatusPages(Listener listener,
                                                             std::function<AgentStatus()> snapshot,
                                                             std::atomic<uint64_t>* gave_way) {
  HttpServer::Options options;
  options.threads = 1;
  options.connections = 16;
  options.gave_way = gave_way;
  return HttpServer::Serve(
      std::move(listener), options, [snapshot = std::move(snapshot)](const HttpRequest& request) {
        if (request.method != "GET" && request.method != "HEAD") {
          return HttpError(405, "unimplemented", "only GET and HEAD are served");
        }
        const std::string& path = request.target.path;
        HttpResponse response;
        if (path == "/healthz") {
          response.content_type = "text/plain";
          response.body = "ok\n";
        } else if (path == "/status") {
          response.body = StatusJson(snapshot());
        } else if (path == "/metrics") {
          response.content_type = PrometheusText::kContentType;
          response.body = StatusMetrics(snapshot());
        } else {
          return HttpError(404, "unimplemented", "there are /healthz, /status and /metrics");
        }
        return response;
      });
}

}  // namespace tokenwatch
