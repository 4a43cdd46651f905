// Uses and workloads for tests.
#ifndef TOKENWATCH_TESTS_UNIT_AGENT_REPORT_SAMPLE_USES_H_
#define TOKENWATCH_TESTS_UNIT_AGENT_REPORT_SAMPLE_USES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "agent/token/token_use.h"
#include "agent/workload/workload.h"

namespace tokenwatch {

inline TokenIdBytes SampleTokenId(uint64_t number) {
  TokenIdBytes id{};
  for (size_t i = 0; i < id.size(); ++i) {
    id[i] = static_cast<uint8_t>((number * 0x9e3779b97f4a7c15u) >> (i % 8 * 8) ^ i * 31);
  }
  return id;
}

// A copy of its own to write to, of what a use shares with others.
template <typename Shared>
Shared& Edit(std::shared_ptr<const Shared>* shared) {
  auto own = std::make_shared<Shared>(**shared);
  Shared& to = *own;
  *shared = std::move(own);
  return to;
}

// Use `number` of a process with a token of its own; its request id is "request-<number>".
inline TokenUse SampleUse(uint64_t number) {
  TokenUse use;
  use.time = absl::FromUnixMicros(1'700'000'000'000'000 + static_cast<int64_t>(number) * 1000);
  auto credential = std::make_shared<UseCredential>();
  credential->tokens = {{"key_862n1q9x", SampleTokenId(number)}};
  credential->format = "opaque";
  credential->carrier = "authorization/bearer";
  credential->token_length = 40;
  use.credential = std::move(credential);
  auto request = std::make_shared<UseRequest>();
  request->method = "GET";
  request->scheme = "https";
  request->host = "api.example.com";
  request->path = absl::StrCat("/v1/things/", number % 7);
  request->http_version = "1.1";
  request->user_agent = "curl/8.0";
  request->probe = "openssl";
  use.request = std::move(request);
  use.request_id = absl::StrCat("request-", number);
  use.status = number % 5 == 0 ? 403 : 200;
  use.latency_us = 1000 + number;
  use.peer = {PeerCertainty::kExact, "192.0.2.7", "192.0.2.8", 443,
              static_cast<uint16_t>(40000 + number % 1000)};
  return use;
}

inline std::shared_ptr<const Workload> SampleWorkload(uint32_t pid = 4711) {
  auto workload = std::make_shared<Workload>();
  workload->host = "machine";
  workload->pid = pid;
  workload->start_time = absl::FromUnixMicros(1'699'999'000'123'456);
  workload->comm = "curl";
  workload->exe = "/usr/bin/curl";
  workload->parent_exe = "/usr/bin/bash";
  workload->uid = 1000;
  workload->user = "alice";
  workload->login_uid = 1000;
  workload->login_user = "alice";
  workload->cgroup = "/user.slice";
  workload->unit = "cron.service";
  return workload;
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_AGENT_REPORT_SAMPLE_USES_H_
