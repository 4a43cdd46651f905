// What agent/token costs for each request, on one core.
//
//   token_bench [--requests N]
//
// Prints a line for each kind of request: nanoseconds a request and the aim, where there is one. A
// figure that misses its aim does not fail the run: it depends on the machine.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "agent/http/exchange.h"
#include "agent/token/carriers/extract.h"
#include "agent/token/formats/formats.h"

namespace tokenwatch {
namespace {

struct Request {
  std::string_view name;
  std::string target;
  std::vector<std::pair<std::string, std::string>> fields;
};

// As an SDK sends them.
std::vector<std::pair<std::string, std::string>> UsualFields() {
  return {
      {"host", "api.vendor.example"},
      {"accept", "application/json"},
      {"accept-encoding", "gzip, deflate, br"},
      {"connection", "keep-alive"},
      {"content-length", "318"},
      {"content-type", "application/json"},
      {"user-agent", "vendor-sdk-python/1.61.0 CPython/3.12.3 Linux/6.8.0"},
      {"x-request-id", "6f2d0c3e-3f6b-4c35-8b0e-5f6f8a3d7e11"},
      {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
      {"x-stainless-lang", "python"},
      {"x-stainless-package-version", "1.61.0"},
  };
}

std::vector<Request> Requests() {
  const std::string secret = "q7Rz0b9Xw2KtLm3VhY5uJ8sDfGa1Pc4NeTo6";
  std::vector<Request> requests;
  const auto add = [&requests](std::string_view name, std::string target, std::string field,
                               std::string value) {
    requests.push_back({name, std::move(target), UsualFields()});
    requests.back().fields.emplace_back(std::move(field), std::move(value));
  };
  add("bearer", "/v1/chat/completions", "authorization", "Bearer " + secret);
  add("raw", "/graphql", "authorization", secret);
  add("vendor header", "/v1/users/42?fields=id", "x-api-key", secret);
  add("basic", "/2010-04-01/Accounts", "authorization",
      "Basic dXNlcjpxN1J6MGI5WHcyS3RMbTNWaFk1dUo4c0RmR2ExUGM0TmVUbzY=");
  add("query", "/v1/models?page=2&key=" + secret, "x-client-version", "1.2.3");
  add("unknown field", "/v1/models?page=2&cursor=4bf92f3577b34da6a3ce929d0e0e4736", "x-acme-trace",
      "4bf92f3577b34da6a3ce929d0e0e4736");
  add("no token", "/v1/models?page=2&limit=100", "x-client-version", "1.2.3");
  add("sigv4", "/bucket/key", "authorization",
      "AWS4-HMAC-SHA256 Credential=AKIAQQQQQQQQQQQQQQQQ/20260101/eu-west-1/s3/aws4_request, "
      "SignedHeaders=host;x-amz-date, Signature=" +
          std::string(64, 'a'));
  return requests;
}

// Processor time of this thread, which what else runs disturbs less than the time of day.
double ThreadNs() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e9 * static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec);
}

// Long fields that would cost most if anything in them were looked at again and again.
std::vector<Request> Hostile() {
  constexpr size_t kBytes = 65536;
  const auto fill = [](std::string_view unit) {
    std::string text;
    while (text.size() + unit.size() <= kBytes) text.append(unit);
    return text;
  };
  const auto field = [&fill](std::string_view name, std::string_view begin, std::string_view unit) {
    return Request{name, "/", {{std::string(name), std::string(begin) + fill(unit)}}};
  };
  std::vector<Request> requests = {
      field("authorization", "Bearer ", ",a"),
      field("authorization", "", ", Bearer"),
      field("authorization", "Digest ", "a=\"\\\","),
      field("authorization", "OAuth ", "a=b,"),
      field("authorization", "Frob ", "\"\""),
      field("authorization", "Frob ", "\",\""),
      field("authorization", "FlyV1 ", "a,"),
      field("x-api-key", "", "a, "),
      field("x-api-key", "", " "),
      field("sec-websocket-protocol", "", "bearer,"),
      field("x-registry-auth", "", "W1tb"),  // [[[
      field("cookie", "", "aaaaaaa=b;"),
      field("x-frob", "", "a"),
  };
  for (const std::string_view unit : {"a&", "sig=b&", "code=&", "%61=%62&", "key=%62&"}) {
    requests.push_back({unit, "/?" + fill(unit), {}});
  }
  for (const std::string_view unit : {"/services/T/B", "/bot1:a", "/webhooks", "//:@"}) {
    requests.push_back({unit, fill(unit), {}});
  }
  requests.push_back({"userinfo", "http://" + fill(":@"), {}});
  return requests;
}

class Shapes : public SecretShapes {
 public:
  explicit Shapes(const FormatTable* formats) : formats_(formats) {}
  bool IsSelfIdentifying(std::string_view value) const override {
    return formats_->IsSelfIdentifying(value);
  }

 private:
  const FormatTable* formats_;
};

// Nanoseconds a request.
double Measure(const Request& request, int repeats, const CarrierOptions& options) {
  std::vector<HeaderField> fields;
  fields.reserve(request.fields.size());
  for (const auto& [name, value] : request.fields) fields.push_back({name, value});
  RequestHead head;
  head.method = "GET";
  head.target = request.target;
  head.fields = fields;
  Extraction found;
  const double begin = ThreadNs();
  for (int i = 0; i < repeats; ++i) FindCredentials(head, options, &found);
  return (ThreadNs() - begin) / repeats;
}

int Main(int argc, char** argv) {
  CLI::App app("What agent/token costs for each request.");
  int requests = 20000;
  app.add_option("--requests", requests, "of each kind")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  const absl::StatusOr<std::unique_ptr<FormatTable>> formats = FormatTable::Create();
  if (!formats.ok()) {
    std::fprintf(stderr, "%s\n", formats.status().ToString().c_str());
    return 1;
  }
  const Shapes shapes(formats->get());
  CarrierOptions options;
  options.shapes = &shapes;
  for (const Request& request : Requests()) {
    std::printf("find_credentials, %s: %.0f ns a request of %zu fields\n",
                std::string(request.name).c_str(), Measure(request, requests, options),
                request.fields.size());
  }
  options.cookies = {"a*a*a*b", "session"};
  for (const Request& request : Hostile()) {
    const size_t bytes =
        request.target.size() + (request.fields.empty() ? 0 : request.fields[0].second.size());
    std::printf(
        "find_credentials, hostile %s: %.1f ns a byte of %zu\n", std::string(request.name).c_str(),
        Measure(request, std::max(1, requests / 10000), options) / static_cast<double>(bytes),
        bytes);
  }
  return 0;
}

}  // namespace
}  // namespace tokenwatch

int main(int argc, char** argv) { return tokenwatch::Main(argc, argv); }
