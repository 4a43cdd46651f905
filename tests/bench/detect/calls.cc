#include "tests/bench/detect/calls.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch {
namespace {

// Mixes the bits of a number (splitmix64), for choices that hold for a while.
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

uint32_t Calls::Host(std::string_view name, std::string_view networks) {
  const auto [entry, added] =
      host_by_name_.try_emplace(std::string(name), static_cast<uint32_t>(hosts_.size()));
  if (added) hosts_.push_back({std::string(name), Split(networks, ' '), random_->Bits()});
  return entry->second;
}

uint32_t Calls::AddEndpoint(std::string_view method_and_path, uint32_t host, bool write) {
  const auto [entry, added] =
      endpoint_by_name_.try_emplace(absl::StrCat(host, " ", std::string(method_and_path)),
                                    static_cast<uint32_t>(endpoints_.size()));
  if (added) {
    const size_t space = method_and_path.find(' ');
    endpoints_.push_back({std::string(method_and_path.substr(0, space)),
                          std::string(method_and_path.substr(space + 1)), host, write});
  }
  return entry->second;
}

uint32_t Calls::TailEndpoint(const Token& token, size_t name) {
  const std::string path =
      absl::StrReplaceAll(std::string(token.provider->tail), {{"{}", absl::StrCat("svc-", name)}});
  return AddEndpoint(path, Host(token.provider->host, token.provider->networks), false);
}

uint32_t Calls::UsualEndpoint(const Token& token, int64_t time_us) {
  if (token.tail > 0 && random_->Chance(token.tail)) {
    return TailEndpoint(token, random_->Zipf(300));
  }
  const double point = random_->Unit() * token.weights.back();
  for (size_t i = 0; i < token.endpoints.size(); ++i) {
    if (point >= token.weights[i]) continue;
    return token.since_us[i] <= time_us ? token.endpoints[i] : token.endpoints.front();
  }
  return token.endpoints.front();
}

uint32_t Calls::Text(std::string_view text) {
  const auto [entry, added] =
      text_by_name_.try_emplace(std::string(text), static_cast<uint32_t>(texts_.size()));
  if (added) texts_.emplace_back(text);
  return entry->second;
}

std::string Calls::PeerOf(const HostEntry& host, uint32_t machine, int64_t time_us) const {
  const size_t networks = host.networks.size();
  if (networks <= 2) {  // a few addresses that stay
    const uint64_t mixed = Mix(host.salt + machine % 3);
    return absl::StrCat(host.networks[mixed % networks], ".", host.salt % 8 + 112, ".",
                        mixed % 250 + 3);
  }
  // What the name resolves to for this machine, for six hours. The last network comes in the middle
  // of the month, as such hosts move, of each at another time.
  const int64_t slot = (time_us + static_cast<int64_t>(machine) * kHourUs) / (6 * kHourUs);
  const uint64_t mixed = Mix(host.salt ^ Mix(static_cast<uint64_t>(slot) * 1'000 + machine % 50));
  const int64_t moves_us = kStartUs + static_cast<int64_t>(host.salt % 960) * kHourUs;
  const size_t in_use = time_us < moves_us ? networks - 1 : networks;
  // Some networks answer far more often than others.
  const size_t network = std::min<size_t>(mixed % (in_use + 3), in_use + 1) % in_use;
  return absl::StrCat(host.networks[network], ".", (mixed >> 16) % 6 * 17 + 5, ".",
                      (mixed >> 32) % 40 + 2);
}

uint16_t Calls::StatusOf(const ProviderRow& provider, const Endpoint& endpoint, bool refused,
                         int64_t time_us) {
  for (const Incident& incident : incidents) {
    if (incident.provider == provider.name && time_us >= incident.from_us &&
        time_us < incident.to_us && random_->Chance(incident.share)) {
      return incident.status;
    }
  }
  if (refused) return 403;
  const double point = random_->Unit();
  if (point < 0.0004) return 401;
  if (point < 0.001) return 403;
  if (point < 0.0015) return 0;
  if (point < 0.003) return 429;
  if (point < 0.006) return 502;
  if (point < 0.02) return 404;
  if (endpoint.method == "GET" && point < 0.03) return 304;
  return endpoint.method == "POST" && point < 0.6 ? 201 : 200;
}

bool Calls::Use(const Fleet& fleet, const Token& token, uint32_t instance, uint32_t endpoint,
                int64_t time_us, std::string_view user_agent, const Oddity& oddity) {
  for (const Secret& secret : token.secrets) {
    if (time_us < secret.from_us || time_us >= secret.to_us) continue;
    // Where another one is in force already, some processes have it and some have not.
    if (&secret != &token.secrets.back() && time_us >= (&secret + 1)->from_us &&
        random_->Chance(0.5)) {
      continue;
    }
    UseSecret(fleet, *token.provider, secret.token, instance, endpoint, time_us, user_agent,
              token.refused, oddity);
    return true;
  }
  return false;
}

void Calls::UseSecret(const Fleet& fleet, const ProviderRow& provider, uint32_t secret,
                      uint32_t instance, uint32_t endpoint_index, int64_t time_us,
                      std::string_view user_agent, uint32_t refused, const Oddity& oddity) {
  if (time_us < kStartUs || time_us >= fleet.end_us) return;
  const Endpoint& endpoint = endpoints_[endpoint_index];
  const Instance& by = fleet.instances[instance];
  const HostEntry& host = hosts_[endpoint.host];
  const std::string peer = oddity.peer.empty() ? PeerOf(host, by.machine, time_us) : oddity.peer;
  const std::string_view agent = oddity.user_agent.empty() ? user_agent : oddity.user_agent;
  const auto [entry, added] = contexts_.try_emplace(
      std::make_tuple(&provider, instance, endpoint_index, Text(peer), Text(agent), oddity.traits),
      0);
  if (added) {
    UseContext context;
    context.workload = by.workload;
    context.format = std::string(provider.format);
    context.provider = std::string(provider.name);
    context.carrier = std::string(provider.carrier);
    context.token_length = provider.length;
    context.method = endpoint.method;
    const bool cleartext = (oddity.traits & v1::USE_TRAIT_CLEARTEXT) != 0;
    context.scheme = cleartext ? "http" : "https";
    context.host = host.name;
    context.path = endpoint.path;
    if ((oddity.traits & v1::USE_TRAIT_IN_QUERY) != 0) {
      context.query = "access_token";
      context.carrier = "query/access_token";
    }
    context.http_version = provider.host.starts_with("api.") ? "2" : "1.1";
    context.user_agent = std::string(agent);
    context.peer_address = peer;
    context.peer_port = cleartext ? 80 : 443;
    context.peer_certainty = "exact";
    context.local_address = by.local_address;
    context.direction = "outbound";
    context.probe = cleartext ? "socket" : "openssl";
    context.traits = oddity.traits;
    entry->second = traffic_->AddContext(std::move(context));
  }
  TrafficUse use;
  use.time_us = time_us;
  use.context = entry->second;
  use.source = SourceAt(fleet.machines[by.machine], time_us);
  use.token = secret;
  use.status = oddity.status >= 0
                   ? static_cast<uint16_t>(oddity.status)
                   : StatusOf(provider, endpoint, endpoint_index == refused, time_us);
  last_status_ = use.status;
  use.latency_us = static_cast<uint32_t>(random_->LogNormal(60'000, 0.6));
  traffic_->Add(use);
}

}  // namespace tokenwatch
