#include "tests/bench/store/fleet.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "agent/common/token_id.h"
#include "collector/store/credential_id.h"

namespace tokenwatch {
namespace {

constexpr int64_t kBoot = 1795340000;
constexpr size_t kManyContexts = 100;

std::string IdText(const UseToken& token) {
  const std::string& id = token.ids[0].second;
  return TokenIdText({reinterpret_cast<const uint8_t*>(id.data()), id.size()});
}

}  // namespace

Fleet::Fleet(const Mix& mix, int64_t uses) : mix_(mix) {
  start_us_ = absl::ToUnixMicros(absl::Now() - mix.span);
  step_us_ = static_cast<double>(absl::ToInt64Microseconds(mix.span)) / static_cast<double>(uses);
  for (int i = 0; i < mix.contexts; ++i) {
    contexts_.push_back(MakeContext(static_cast<uint64_t>(i)));
  }
  double sum = 0;
  for (int i = 0; i < mix.tokens; ++i) {
    tokens_.push_back(MakeToken());
    sum += mix.skewed ? 1.0 / (i + 1) : 1;
    weights_.push_back(sum);
  }
  for (int i = 0; i < kAgents; ++i) {
    streams_.push_back(RandomBytes(16));
    sequences_.push_back(1);
  }
}

std::vector<IngestBatch> Fleet::NextCommit() {
  const auto batch_uses = static_cast<size_t>(mix_.commit_uses / kAgents);
  std::vector<IngestBatch> batches(kAgents);
  for (int i = 0; i < kAgents; ++i) {
    IngestBatch& batch = batches[i];
    batch.agent = absl::StrFormat("agt_%026d", i);
    batch.agent_address = absl::StrFormat("10.0.0.%d", i);
    batch.stream = streams_[i];
    batch.first_sequence = sequences_[i];
    batch.uses.reserve(batch_uses * 2);
  }
  for (size_t i = 0; i < batch_uses * kAgents; ++i) {
    UseRow use = NextUse();
    // A context is a program's on one machine.
    IngestBatch& batch = batches[use.context->id % kAgents];
    if (mix_.facts) Tell(use, &batch.token_facts);
    batch.uses.push_back(std::move(use));
  }
  for (int i = 0; i < kAgents; ++i) sequences_[i] += batches[i].uses.size();
  return batches;
}

std::string Fleet::TokenText(size_t rank) const {
  return IdText(*tokens_[std::min(rank, tokens_.size() - 1)]);
}

std::string Fleet::LastToken() const { return IdText(*last_used_); }

// SplitMix64, https://prng.di.unimi.it/splitmix64.c
uint64_t Fleet::Random() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

std::string Fleet::RandomBytes(size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(Random());
  return bytes;
}

std::string Fleet::RandomUuid() {
  std::string uuid;
  for (int i = 0; i < 32; ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) uuid += '-';
    uuid += "0123456789abcdef"[Random() % 16];
  }
  return uuid;
}

std::shared_ptr<UseContext> Fleet::MakeContext(uint64_t i) {
  auto context = std::make_shared<UseContext>();
  context->id = ++last_context_;
  const uint64_t program = i / 4;
  v1::Workload& workload = context->workload;
  workload.set_host(absl::StrFormat("web-%d", program % 100));
  workload.set_pid(static_cast<uint32_t>(1000 + program));
  workload.mutable_start_time()->set_seconds(kBoot + static_cast<int64_t>(program));
  workload.set_comm(i % 3 == 0 ? "python3" : "node");
  workload.set_exe(i % 3 == 0 ? "/usr/bin/python3.11" : "/usr/bin/node");
  workload.set_script(absl::StrFormat("/srv/app-%d/main", program));
  workload.set_parent_exe("/usr/lib/systemd/systemd");
  workload.set_uid(1000);
  workload.set_user("app");
  workload.set_unit(absl::StrFormat("app-%d.service", program));
  workload.set_cgroup(absl::StrFormat("/system.slice/app-%d.service", program));
  context->format = "opaque";
  context->carrier = "authorization/bearer";
  context->token_length = 40;
  context->method = i % 5 == 0 ? "POST" : "GET";
  context->scheme = "https";
  context->host = absl::StrFormat("api-%d.example.com", i % 20);
  context->path = absl::StrFormat("/v1/things/{id}/part-%d", i % 50);
  context->http_version = "1.1";
  context->user_agent = "python-requests/2.31.0";
  context->peer_address = absl::StrFormat("192.0.2.%d", i % 20);
  context->peer_port = 443;
  context->peer_certainty = "exact";
  context->local_address = "10.0.0.1";
  context->direction = "outbound";
  context->probe = "openssl";
  return context;
}

std::shared_ptr<const UseContext> Fleet::OwnContext() {
  const std::shared_ptr<UseContext> context = MakeContext(Random() % 200);
  context->workload.set_pid(static_cast<uint32_t>(context->id % 4194304));
  context->workload.mutable_start_time()->set_seconds(kBoot + static_cast<int64_t>(context->id));
  context->path = absl::StrFormat("/v1/things/%d", context->id);
  return context;
}

std::shared_ptr<const UseToken> Fleet::MakeToken() {
  auto token = std::make_shared<UseToken>();
  token->id = ++last_token_;
  token->ids.emplace_back("key_00000001", RandomBytes(16));
  return token;
}

size_t Fleet::PickToken() {
  if (!mix_.skewed) return Random() % tokens_.size();
  const double dice = static_cast<double>(Random() >> 11) / 9007199254740992.0 * weights_.back();
  const auto found = std::upper_bound(weights_.begin(), weights_.end(), dice);
  return std::min(static_cast<size_t>(found - weights_.begin()), tokens_.size() - 1);
}

size_t Fleet::PickContext(size_t token) {
  const auto few = static_cast<size_t>(mix_.contexts_each);
  const size_t many = mix_.skewed ? tokens_.size() / 50 : 0;
  const size_t first =
      token < many ? token * kManyContexts : many * kManyContexts + (token - many) * few;
  return (first + Random() % (token < many ? kManyContexts : few)) % contexts_.size();
}

UseRow Fleet::NextUse() {
  UseRow use;
  const size_t token = PickToken();
  use.context = mix_.own_contexts ? OwnContext() : contexts_[PickContext(token)];
  use.token = mix_.own_tokens ? MakeToken() : tokens_[token];
  last_used_ = use.token;
  if (mix_.request_ids) use.request_id = RandomUuid();
  use.time_us = start_us_ + static_cast<int64_t>(step_us_ * static_cast<double>(++made_)) -
                static_cast<int64_t>(Random() % 2000);
  const uint64_t dice = Random() % 100;
  use.status = dice < 95 ? 200 : dice < 98 ? 404 : 401;
  use.latency_us = 500 + Random() % 60000;
  use.local_port = static_cast<uint32_t>(32768 + Random() % 28000);
  return use;
}

// What a JWT tells, as often as an agent does.
void Fleet::Tell(const UseRow& use, std::vector<TokenFactRow>* facts) {
  const auto [told, first] = told_.try_emplace(use.token->id, use.time_us);
  if (!first && use.time_us < told->second + int64_t{3600} * 1000000) return;
  told->second = use.time_us;
  std::array<uint8_t, 16> credential{};
  credential[0] = static_cast<uint8_t>(use.context->id);
  credential[1] = static_cast<uint8_t>(use.context->id >> 8);
  const auto tell = [&](const char* name, std::string value) {
    facts->push_back({use.token, name, std::move(value), use.time_us});
  };
  tell("credential", CredentialIdText(credential));
  tell("issuer", "https://issuer.example.com/realms/main");
  tell("subject", absl::StrFormat("service-account-%d", use.context->id));
  tell("audience", "https://api.example.com");
  tell("algorithm", "RS256");
  tell("jwt_id", absl::StrFormat("%016x", use.token->id * 0x9e3779b97f4a7c15));
  tell("expires",
       absl::FormatTime("%Y-%m-%dT%H:%M:%SZ",
                        absl::FromUnixSeconds(kBoot + static_cast<int64_t>(use.token->id)),
                        absl::UTCTimeZone()));
  tell("scope", "read:things");
}

}  // namespace tokenwatch
