#include "agent/status/fingerprint_service.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "agent/common/log.h"
#include "agent/common/token_id.h"
#include "agent/token/carriers/extract.h"

namespace tokenwatch {

absl::StatusOr<Listener> FingerprintService::Listen(const std::string& path) {
  absl::StatusOr<Listener> listener = Listener::Open({.path = path}, 0600);
  if (listener.ok()) return listener;
  return absl::Status(listener.status().code(),
                      absl::StrCat("--fingerprint-listen: ", listener.status().message()));
}

absl::StatusOr<std::unique_ptr<FingerprintService>> FingerprintService::Start(
    Listener listener, std::unique_ptr<Fingerprinter> fingerprinter, const Clock* clock) {
  auto service =
      std::unique_ptr<FingerprintService>(new FingerprintService(std::move(fingerprinter), clock));
  HttpServer::Options options;
  options.threads = 1;
  options.connections = 4;
  options.body_bytes = kSecretMax;
  absl::StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::Serve(
      std::move(listener), options,
      [s = service.get()](const HttpRequest& request) { return s->Answer(request); });
  if (!server.ok()) return server.status();
  service->server_ = *std::move(server);
  return service;
}

bool FingerprintService::IsAllowed() {
  const int64_t minute = clock_->MonotonicNs() / 60'000'000'000;
  if (minute != minute_) asked_ = 0;
  minute_ = minute;
  return ++asked_ <= kPerMinute;
}

HttpResponse FingerprintService::Answer(const HttpRequest& request) {
  if (request.target.path != "/v1/fingerprint") {
    return HttpError(404, "unimplemented", "there is /v1/fingerprint");
  }
  if (request.method != "POST") {
    return HttpError(405, "unimplemented", "POST the secret as the request's body");
  }
  const std::string_view secret = NormalisePasted(request.body);
  absl::MutexLock lock(&mutex_);
  if (secret.empty() || !IsAllowed()) {
    ++refused_;
    if (secret.empty()) return HttpError(400, "invalid_argument", "the secret is empty");
    Log(LogLevel::kWarning, "a fingerprint was refused: too many were asked for");
    return HttpError(429, "resource_exhausted", "too many questions: wait a minute");
  }
  nlohmann::json ids = nlohmann::json::array();
  std::string shown;
  for (const TokenPair& pair : fingerprinter_->Token(secret)) {
    const std::string id = TokenIdText(pair.token_id);
    ids.push_back({{"keyId", pair.key_id}, {"tokenId", id}});
    absl::StrAppend(&shown, shown.empty() ? "" : ", ", id);
  }
  ++answered_;
  Log(LogLevel::kInfo, "the id of a secret was asked for: ", shown);
  HttpResponse response;
  response.body = nlohmann::json({{"ids", ids}}).dump();
  return response;
}

void FingerprintService::AddCounters(Counters* counters) const {
  absl::MutexLock lock(&mutex_);
  (*counters)["fingerprints_answered"] = answered_;
  (*counters)["fingerprints_refused"] = refused_;
}

}  // namespace tokenwatch
