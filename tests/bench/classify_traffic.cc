#include "tests/bench/classify_traffic.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

std::string Make(std::string_view text, SampleRandom* random) {
  absl::StatusOr<std::string> made = MakeSample(text, random);
  if (made.ok()) return *std::move(made);
  std::fprintf(stderr, "%s\n", made.status().ToString().c_str());
  std::exit(1);
}

template <typename List>
const auto& Pick(const List& list, SampleRandom* random) {
  return list[(*random)() % std::size(list)];
}

bool Chance(uint32_t percent, SampleRandom* random) { return (*random)() % 100 < percent; }

// Names and templates of values.
constexpr std::pair<std::string_view, std::string_view> kFields[] = {
    {"Accept", "application/json"},
    {"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
    {"Accept-Encoding", "gzip, deflate, br"},
    {"Accept-Language", "en-US,en;q=0.<dig:1>"},
    {"User-Agent",
     "Mozilla/5.0 (X11; Linux x86_64; rv:<dig:3>.0) Gecko/20100101 Firefox/<dig:3>.0"},
    {"User-Agent", "python-requests/2.<dig:2>.<dig:1>"},
    {"User-Agent", "vendor-sdk-go/1.<dig:2>.<dig:1> (linux; amd64) go1.<dig:2>"},
    {"User-Agent", "kube-probe/1.<dig:2>"},
    {"Content-Type", "application/json; charset=utf-8"},
    {"Content-Type", "multipart/form-data; boundary=----WebKitFormBoundary<b62:16>"},
    {"Content-Length", "<dig:1-6>"},
    {"Content-MD5", "<64:<b62:16>>"},
    {"Content-Digest", "sha-256=:<64:<b62:32>>:"},
    {"Digest", "SHA-256=<64:<b62:32>>"},
    {"If-None-Match", "\"<hex:32>\""},
    {"If-None-Match", "W/\"<hex:1-4>-<b64:27>\""},
    {"If-Match", "\"<uuid>\""},
    {"ETag", "\"<hex:40>\""},
    {"If-Modified-Since", "Thu, 0<dig:1> Jan 2026 1<dig:1>:<dig:2>:00 GMT"},
    {"Date", "Fri, 1<dig:1> Sep 2026 0<dig:1>:1<dig:1>:2<dig:1> GMT"},
    {"X-Amz-Date", "202601<dig:2>T<dig:6>Z"},
    {"X-Amz-Content-Sha256", "<hex:64>"},
    {"X-Request-Id", "<uuid>"},
    {"X-Request-Id", "req_<b62:24>"},
    {"X-Correlation-Id", "<hex:32>"},
    {"Idempotency-Key", "<uuid>"},
    {"Idempotency-Key", "key-<uuid>"},
    {"Idempotency-Key", "<b62:22>"},
    {"traceparent", "00-<hex:32>-<hex:16>-0<dig:1>"},
    {"tracestate", "vendor=<b64url:22>,other=<hex:16>"},
    {"uber-trace-id", "<hex:16>:<hex:16>:0:1"},
    {"X-B3-TraceId", "<hex:32>"},
    {"X-B3-SpanId", "<hex:16>"},
    {"b3", "<hex:32>-<hex:16>-1"},
    {"X-Amzn-Trace-Id", "Root=1-<hex:8>-<hex:24>;Parent=<hex:16>;Sampled=1"},
    {"X-Cloud-Trace-Context", "<hex:32>/<dig:19>;o=1"},
    {"X-Datadog-Trace-Id", "<dig:19>"},
    {"sentry-trace", "<hex:32>-<hex:16>-1"},
    {"baggage", "sentry-trace_id=<hex:32>,sentry-release=<hex:40>,sentry-environment=prod"},
    {"grpc-trace-bin", "AAA<b62:35>"},
    {"Cookie", "_ga=GA1.1.<dig:9>.<dig:10>; _ga_<AN36:10>=GS1.1.<dig:10>.1.0.<dig:10>.0.0.0"},
    {"Cookie",
     "csrftoken=<b62:32>; theme=dark; cf_clearance=<b64url:43>-<dig:10>-1.2.1.1-<b64url:80>"},
    {"Referer", "https://www.example.com/<lower:8>?utm_source=<lower:6>&id=<hex:24>"},
    {"Origin", "https://<lower:8>.example.com"},
    {"X-Forwarded-For", "203.0.113.<dig:2>, 10.0.<dig:1>.<dig:2>"},
    {"X-Device-Id", "<HEX:8>-<HEX:4>-<HEX:4>-<HEX:4>-<HEX:12>"},
    {"X-Client-Version", "<dig:1>.<dig:2>.<dig:1>-<hex:7>"},
    {"X-Build", "sha-<hex:40>"},
    {"X-Checksum", "sha384-<64:<b62:48>>"},
    {"X-Content-Hash", "<64:<b62:64>>"},
    {"X-Object-Id", "<hex:24>"},
    {"X-Ulid", "01<AN36:24>"},
    {"X-Ksuid", "<b62:27>"},
    {"X-Nanoid", "<b64url:21>"},
    {"X-Timestamp", "<dig:13>"},
    {"X-State", "<64url:{\"page\":<dig:3>,\"sort\":\"<lower:6>\",\"cursor\":\"<b62:20>\"}>"},
    {"X-Cursor", "<64:{\"id\":<dig:9>,\"dir\":\"next\"}>"},
    {"X-Blob", "<b64:40-400>"},
    {"X-Blob-Url", "<b64url:40-400>"},
    {"X-Hex", "<hex:20-128>"},
    {"X-Words", "<lower:4>_<lower:6>_<lower:8>-<lower:5>"},
    {"X-Id", "<lower:2-4>_<b62:16-32>"},
    {"X-Id", "<lower:3-6>-<an36:20-40>"},
    {"X-Id", "<lower:2-4>.<b62:10-40>"},
    {"X-Model", "text-embedding-3-<lower:5>"},
    {"X-Signature", "t=<dig:10>,v1=<hex:64>"},
    {"Stripe-Signature", "t=<dig:10>,v1=<hex:64>,v0=<hex:64>"},
    {"X-Hub-Signature-256", "sha256=<hex:64>"},
    {"X-Goog-Hash", "crc32c=<b64:6>==,md5=<b64:22>=="},
    {"x-ms-client-request-id", "<uuid>"},
    {"x-envoy-peer-metadata", "Ch<b64:100-300>"},
    {"Sec-WebSocket-Key", "<64:<b62:16>>"},
    {"Range", "bytes=<dig:3>-<dig:6>"},
};

constexpr std::pair<std::string_view, std::string_view> kParameters[] = {
    {"page", "<dig:1-3>"},  {"limit", "100"},      {"cursor", "<b64url:40>"},
    {"id", "<uuid>"},       {"since", "<dig:10>"}, {"fields", "id,name,<lower:6>"},
    {"q", "<lower:8>"},     {"v", "<hex:8>"},      {"hash", "<hex:40>"},
    {"t", "<dig:13>"},      {"state", "<b62:32>"}, {"nonce", "<b62:22>"},
    {"sort", "created_at"}, {"ref", "<hex:40>"},   {"cb", "https%3A%2F%2F<lower:6>.example%2Fx"},
};

constexpr std::string_view kPaths[] = {
    "/v1/<lower:8>",        "/api/v2/<lower:6>/<dig:4>",
    "/<lower:5>/<uuid>",    "/graphql",
    "/v1/chat/completions", "/repos/<lower:6>/<lower:6>/issues/<dig:3>",
    "/<lower:4>.<lower:3>",
};

void AddOrdinary(size_t count, SampleRandom* random, ClassifyCase* request) {
  for (size_t i = 0; i < count; ++i) {
    const auto& [name, value] = Pick(kFields, random);
    request->headers.emplace_back(name, Make(value, random));
  }
}

void AddParameter(std::string_view name, std::string_view value, ClassifyCase* request) {
  const bool first = request->target.find('?') == std::string::npos;
  absl::StrAppend(&request->target, first ? "?" : "&", std::string(name), "=", std::string(value));
}

std::string PercentEncode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
        std::string_view("-._~").find(c) != std::string_view::npos) {
      out += c;
    } else {
      absl::StrAppend(&out, "%", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  return out;
}

// What stands around a secret that is not alone in its field, parameter or path; <S> is its place.
constexpr std::pair<std::string_view, std::string_view> kForms[] = {
    {"authorization/aws4-hmac-sha256",
     "AWS4-HMAC-SHA256 Credential=<S>/20260101/eu-west-1/s3/aws4_request, "
     "SignedHeaders=host;x-amz-date, Signature=0a1b2c3d"},
    {"authorization/goog4-hmac-sha256",
     "GOOG4-HMAC-SHA256 Credential=<S>/20260101/auto/storage/goog4_request, "
     "SignedHeaders=host, Signature=0a1b2c3d"},
    {"authorization/tc3-hmac-sha256",
     "TC3-HMAC-SHA256 Credential=<S>/2026-01-01/cvm/tc3_request, SignedHeaders=host, Signature=0a"},
    {"authorization/acs3-hmac-sha256",
     "ACS3-HMAC-SHA256 Credential=<S>,SignedHeaders=host,Signature=0a1b2c3d"},
    {"authorization/eg1-hmac-sha256",
     "EG1-HMAC-SHA256 client_token=t;access_token=<S>;timestamp=1;nonce=n;signature=s"},
    {"authorization/snowflake", "Snowflake Token=\"<S>\""},
    {"header/x-sentry-auth", "Sentry sentry_version=7, sentry_key=<S>"},
    {"query/x-amz-credential",
     "<S>%2F20260101%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Algorithm=AWS4-HMAC-SHA256&"
     "X-Amz-Signature=0a1b2c3d"},
    {"query/sig", "<S>&sv=2026-01-01&sr=b&sp=r&se=2026-12-31T00%3A00%3A00Z"},
    {"authorization/sharedkey", "SharedKey <S>:c2ln"},
    {"authorization/sharedkeylite", "SharedKeyLite <S>:c2ln"},
    {"authorization/sharedaccesssignature", "SharedAccessSignature sr=<S>&sig=c2ln&se=1&skn="},
    {"query/googleaccessid", "<S>&Signature=c2ln&Expires=1"},
    {"query/key-pair-id", "<S>&Signature=c2ln&Policy=e30_"},
    {"query/skoid", "<S>&sv=2026-01-01&sr=b&sp=r&sig=c2ln"},
    {"path/slack_webhook", "/services/<S>"},
    {"path/discord_webhook", "/api/webhooks/<S>"},
    {"path/telegram_bot", "/bot<S>/sendMessage"},
    {"path/teams_webhook", "/webhookb2/<S>"},
    {"path/zapier_webhook", "/hooks/catch/<S>"},
};

std::string Formed(std::string_view key, std::string_view secret, std::string_view otherwise) {
  std::string form(otherwise);
  for (const auto& [name, text] : kForms) {
    if (name == key) form = text;
  }
  const size_t at = form.find("<S>");
  return form.replace(at, 3, std::string(secret));
}

std::string HostFor(const FormatRow& row, SampleRandom* random) {
  if (row.format.hosts.empty()) return std::string(kSelfHost);
  std::string host = Pick(row.format.hosts, random);
  for (size_t star = 0; (star = host.find('*')) != std::string::npos;) {
    host.replace(star, 1, Make("<lower:6>", random));
  }
  return host;
}

std::string Basic(const std::string& secret, SampleRandom* random) {
  // Keys that stand alone are sent as the user by some clients.
  const std::string pair =
      Chance(20, random) ? secret + ":" : Make("<lower:6>", random) + ":" + secret;
  return absl::StrCat("Basic ", absl::Base64Escape(pair));
}

}  // namespace

ClassifyCase RequestWith(const FormatRow& row, SampleRandom* random) {
  ClassifyCase request;
  request.host = HostFor(row, random);
  request.target = Make(Pick(kPaths, random), random);
  request.headers.emplace_back("Host", request.host);
  AddOrdinary(2 + (*random)() % 4, random, &request);
  const std::string secret = Make(Pick(row.samples, random), random);
  std::string carrier = Pick(row.sent, random);
  // Of what travels in bodies, too, a token must be known where it is found.
  if (carrier == "body") carrier = "authorization/bearer";
  if (carrier == "authorization/basic" && secret.find(':') != std::string::npos) {
    carrier = "authorization/bearer";
  }
  const size_t slash = carrier.find('/');
  const std::string name = slash == std::string::npos ? "" : carrier.substr(slash + 1);
  if (carrier == "authorization") {
    request.headers.emplace_back("Authorization", secret);
  } else if (carrier == "authorization/basic") {
    request.headers.emplace_back("Authorization", Basic(secret, random));
  } else if (carrier.starts_with("authorization/")) {
    request.headers.emplace_back("Authorization", Formed(carrier, secret, name + " <S>"));
  } else if (carrier.starts_with("header/")) {
    request.headers.emplace_back(name, Formed(carrier, secret, "<S>"));
  } else if (carrier.starts_with("query/")) {
    AddParameter(name, Formed(carrier, PercentEncode(secret), "<S>"), &request);
  } else if (carrier == "path") {
    request.target = Formed("path/" + row.format.id, secret, "/<S>");
  }
  AddOrdinary((*random)() % 4, random, &request);
  request.expected.push_back({row.format.id, row.format.provider, ""});
  return request;
}

ClassifyCase RequestWithoutToken(SampleRandom* random) {
  ClassifyCase request;
  request.host = Make("<lower:6>.example", random);
  request.target = Make(Pick(kPaths, random), random);
  request.headers.emplace_back("Host", request.host);
  AddOrdinary(4 + (*random)() % 9, random, &request);
  for (size_t i = (*random)() % 4; i > 0; --i) {
    const auto& [name, value] = Pick(kParameters, random);
    AddParameter(name, Make(value, random), &request);
  }
  return request;
}

}  // namespace tokenwatch
