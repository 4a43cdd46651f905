#include "collector/api/http_api.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/common/log.h"
#include "collector/api/metrics.h"
#include "collector/api/openapi.h"
#include "collector/api/routes.h"
#include "collector/json/json.h"

namespace tokenwatch {
namespace {

int HttpStatus(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kUnimplemented:
      return 405;
    case absl::StatusCode::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

HttpResponse JsonResponse(const Json& json) { return {.body = DumpJson(json) + "\n"}; }

bool NamesLocalHost(const std::string& host) {
  // HTTP/1.0 needs no Host; a browser always sends one.
  if (host.empty()) return true;
  const size_t bracket = host.rfind(']');
  const size_t colon = host.find(':', bracket == std::string::npos ? 0 : bracket);
  std::string name = absl::AsciiStrToLower(host.substr(0, colon));
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  return Address{.host = name}.IsLocal();
}

// Takes the parameter `format` from what is given; true where it asks for OCSF. One that the route
// does not have is left where it is.
absl::StatusOr<bool> TakeFormat(const Route* route,
                                std::vector<std::pair<std::string, std::string>>* given) {
  if (route == nullptr || route->ocsf == nullptr) return false;
  const auto is_format = [](const auto& parameter) { return parameter.first == kFormat; };
  const auto found = std::find_if(given->begin(), given->end(), is_format);
  if (found == given->end()) return false;
  const std::string format = found->second;
  given->erase(found);
  if (std::any_of(given->begin(), given->end(), is_format)) {
    return absl::InvalidArgumentError("parameter 'format' was given twice");
  }
  if (format == "json" || format == "ocsf") return format == "ocsf";
  return absl::InvalidArgumentError(absl::StrCat("parameter 'format': \"",
                                                 absl::Utf8SafeCEscape(format.substr(0, 100)),
                                                 "\" is no form; it is json or ocsf"));
}

}  // namespace

HttpResponse ErrorResponse(const absl::Status& status) {
  HttpResponse response = HttpError(HttpStatus(status.code()),
                                    absl::AsciiStrToLower(absl::StatusCodeToString(status.code())),
                                    std::string(status.message()));
  if (absl::IsUnauthenticated(status)) {
    response.fields.emplace_back("WWW-Authenticate", "Bearer realm=\"tokenwatch\"");
  }
  return response;
}

HttpApi::HttpApi(Options options)
    : options_(std::move(options)),
      open_api_(DumpJson(OpenApi()) + "\n"),
      started_seconds_(absl::ToUnixSeconds(absl::Now())) {}

HttpResponse HttpApi::Handle(const HttpRequest& request) {
  std::string name = "other";
  HttpResponse response = Answer(request, &name);
  counts_.Add(name, absl::StrCat(response.status));
  return response;
}

HttpResponse HttpApi::Answer(const HttpRequest& request, std::string* name) {
  if (options_.local_hosts_only && !NamesLocalHost(request.host)) {
    return ErrorResponse(absl::PermissionDeniedError(
        absl::StrCat("this listener answers to localhost only, not to host '",
                     absl::CHexEscape(request.host.substr(0, 100)), "'")));
  }
  const std::string& path = request.target.path;
  // First of all: who may not ask learns nothing about what there is.
  if (options_.authorize && path != "/healthz" && path != "/readyz") {
    if (const absl::Status status = options_.authorize(request.authorization, path == "/metrics");
        !status.ok()) {
      return ErrorResponse(status);
    }
  }
  std::string id;
  const Route* route = FindRoute(path, &id);
  const bool fixed =
      path == "/healthz" || path == "/readyz" || path == "/metrics" || path == "/openapi.json";
  if (route == nullptr && !fixed) {
    return ErrorResponse(absl::NotFoundError("there is nothing at this path; see /openapi.json"));
  }
  *name = fixed ? path : route->path;
  if (request.method != "GET" && request.method != "HEAD") {
    HttpResponse response = ErrorResponse(
        absl::UnimplementedError("only GET and HEAD are answered: this interface changes nothing"));
    response.fields.emplace_back("Allow", "GET, HEAD");
    return response;
  }
  auto given = request.target.parameters;
  const absl::StatusOr<bool> ocsf = TakeFormat(route, &given);
  if (!ocsf.ok()) return ErrorResponse(ocsf.status());
  const absl::StatusOr<v1::ListRequest> parameters = ReadParameters(
      route == nullptr ? absl::Span<const Parameter>() : absl::MakeConstSpan(route->parameters),
      given);
  if (!parameters.ok()) return ErrorResponse(parameters.status());
  if (path == "/healthz") return JsonResponse({{"status", "ok"}});
  if (path == "/readyz") return Ready();
  if (path == "/metrics") return Metrics();
  if (path == "/openapi.json") return {.body = open_api_};

  const Queries* const queries = queries_;
  if (queries == nullptr) {
    return ErrorResponse(absl::UnavailableError("the collector is starting; ask again soon"));
  }
  if (*ocsf) {
    absl::StatusOr<HttpResponse> lines = route->ocsf(*queries, *parameters);
    return lines.ok() ? *std::move(lines) : ErrorResponse(lines.status());
  }
  const absl::StatusOr<Json> json = route->handle(*queries, *parameters, id);
  return json.ok() ? JsonResponse(*json) : ErrorResponse(json.status());
}

HttpResponse HttpApi::Ready() const {
  const Queries* const queries = queries_;
  if (queries == nullptr) {
    return ErrorResponse(absl::UnavailableError("the collector is starting"));
  }
  if (const absl::Status status = queries->CheckHealth(); !status.ok()) {
    const bool damaged = status.code() == absl::StatusCode::kDataLoss;
    return ErrorResponse(absl::UnavailableError(
        absl::StrCat(damaged ? "" : "uses cannot be written: ", std::string(status.message()))));
  }
  if (options_.health) {
    if (const absl::Status status = options_.health(); !status.ok()) {
      return ErrorResponse(absl::UnavailableError(status.message()));
    }
  }
  return JsonResponse({{"status", "ok"}});
}

HttpResponse HttpApi::Metrics() const {
  Counters counters;
  if (options_.add_counters) options_.add_counters(&counters);
  MetricsInput input{.started_seconds = started_seconds_,
                     .ready = Ready().status == 200,
                     .http = counts_.Get(),
                     .grpc = options_.grpc_counts == nullptr ? RequestCounts::Counts()
                                                             : options_.grpc_counts->Get(),
                     .counters = std::move(counters)};
  if (options_.certificates) input.certificates = options_.certificates();
  // A store that cannot be read says so by the gauges.
  if (const Queries* const queries = queries_; queries != nullptr) {
    input.damaged = queries->CheckHealth().code() == absl::StatusCode::kDataLoss;
    if (const auto space = queries->Space(); space.ok()) input.space = *space;
    auto by_severity = queries->OpenFindings("severity");
    auto by_rule = queries->OpenFindings("rule");
    if (by_severity.ok() && by_rule.ok()) {
      input.findings = {*std::move(by_severity), *std::move(by_rule)};
    }
    auto fleet = queries->Fleet(absl::ToUnixMicros(absl::Now() - kFleetGoneAfter), kFleetMaxAgents);
    auto tls = queries->TlsTotals();
    if (fleet.ok() && tls.ok()) {
      input.fleet = {.fleet = *std::move(fleet), .tls = *std::move(tls)};
      for (const AgentState& agent : input.fleet->fleet.agents) {
        input.fleet->connected.push_back(queries->IsConnectedNow(agent.agent));
      }
    }
  }
  return {.content_type = PrometheusText::kContentType, .body = MetricsPage(input)};
}

}  // namespace tokenwatch
