// Misuses, each kind a function: what a thief, a curious colleague, a careless one or a broken
// integration does with a token.
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/bench/detect/generator.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch {
namespace {

// Mean uses a day.
double UsesADay(const Token& token, const Workload& workload) {
  switch (workload.shape) {
    case Shape::kService:
      return token.rate * 24 * (workload.flat ? 1 : 0.5);
    case Shape::kPoll:
      return 86'400 / token.rate;
    case Shape::kCron:
      return token.size * static_cast<double>(kDayUs) / static_cast<double>(token.period_us);
    case Shape::kBatch:
    case Shape::kCi:
    case Shape::kHuman:
      return token.rate * token.size * 5 / 7;
    case Shape::kRare:
      return token.rate;
  }
  return 0;
}

class Misuses {
 public:
  Misuses(Random* random, Calls* calls, Traffic* traffic, Fleet* fleet)
      : random_(random), calls_(calls), traffic_(traffic), fleet_(fleet) {}

  void Add() {
    // Those with the fewest tokens to choose from come first.
    using Kind = void (Misuses::*)();
    constexpr Kind kKinds[] = {
        &Misuses::PolicyViolation, &Misuses::ExpiredUsed,    &Misuses::VolumeDrop,
        &Misuses::FirstWrite,      &Misuses::OffHours,       &Misuses::LowAndSlow,
        &Misuses::NewDestination,  &Misuses::CurlByHand,     &Misuses::DormantRevived,
        &Misuses::RevokedUsed,     &Misuses::Exfiltration,   &Misuses::SharedToken,
        &Misuses::CrossNamespace,  &Misuses::StolenSameTool, &Misuses::StolenOtherTool,
        &Misuses::NewWorkload,     &Misuses::Enumeration,    &Misuses::DenialBurst,
        &Misuses::ForeignHost,     &Misuses::Cleartext,      &Misuses::InQuery,
        &Misuses::SlowProbing,     &Misuses::TokenInvention, &Misuses::FirstOfFormat,
    };
    const size_t normal = traffic_->uses().size();
    for (uint32_t i = 0; i < fleet_->options.misuses; ++i) {
      number_ = i;
      for (const Kind kind : kKinds) (this->*kind)();
    }
    // Only normal uses stop or are refused.
    size_t index = 0;
    traffic_->Edit([&](TrafficUse* use) {
      if (index++ >= normal) return true;
      const auto change = changes_.find(traffic_->SubjectOfUse(*use));
      if (change == changes_.end() || use->time_us < change->second.from_us) return true;
      use->status = 401;
      return !change->second.drop;
    });
  }

 private:
  struct Change {
    int64_t from_us = 0;
    bool drop = false;  // else the answer is 401
  };
  using Fits = absl::FunctionRef<bool(const Token&, const Workload&)>;

  // A token that was in use for a week before `time` and will be for three days, and was not
  // misused.
  Token* Pick(int64_t time_us, double uses_a_day, Fits fits) {
    for (int i = 0; i < 20'000; ++i) {
      Token& token = fleet_->tokens[random_->Below(fleet_->tokens.size())];
      const Workload& workload = fleet_->workloads[token.workload];
      if (token.misused || token.from_us > time_us - 7 * kDayUs ||
          token.to_us < time_us + 3 * kDayUs || UsesADay(token, workload) < uses_a_day ||
          token.period_us > 7 * kDayUs || !fits(token, workload)) {
        continue;
      }
      if (!token.provider->jwt) {
        const Secret* secret = SecretAt(token, time_us);
        if (secret == nullptr || secret->from_us > time_us - 5 * kDayUs ||
            secret->to_us < time_us + 3 * kDayUs) {
          continue;
        }
      }
      token.misused = true;
      return &token;
    }
    return nullptr;
  }
  Token* Pick(int64_t time_us, double uses_a_day) {
    return Pick(time_us, uses_a_day, [](const Token&, const Workload&) { return true; });
  }

  const Secret* SecretAt(const Token& token, int64_t time_us) const {
    for (const Secret& secret : token.secrets) {
      if (time_us >= secret.from_us && time_us < secret.to_us) return &secret;
    }
    return nullptr;
  }

  int64_t SomeTime(double days_before_end = 3.1) {
    const double first = std::max(8.0, fleet_->options.days * 0.28);
    return kStartUs + static_cast<int64_t>(
                          random_->In(first, fleet_->options.days - days_before_end) * kDayUs);
  }

  const Workload& WorkloadOf(const Token& token) const { return fleet_->workloads[token.workload]; }
  std::string UserAgent(const Token& token, int64_t time_us) const {
    return ReleaseAt(WorkloadOf(token), time_us).user_agent;
  }
  uint32_t HostOf(const Token& token) {
    return calls_->Host(token.provider->host, token.provider->networks);
  }

  void Begin(std::string_view kind, const Token& token, int64_t time_us) {
    label_ = Label();
    label_.kind = std::string(kind);
    const Secret* secret = SecretAt(token, time_us);
    label_.token_id = token.credential.empty() && secret != nullptr
                          ? traffic_->TokenName(secret->token)
                          : token.credential;
    label_.from_us = INT64_MAX;
    label_.to_us = 0;
  }
  void Cover(int64_t time_us) {
    if (time_us >= fleet_->end_us) return;
    label_.from_us = std::min(label_.from_us, time_us);
    label_.to_us = std::max(label_.to_us, time_us);
  }
  void End() {
    if (label_.to_us > 0) traffic_->labels.push_back(std::move(label_));
  }
  void Use(const Token& token, uint32_t instance, uint32_t endpoint, int64_t time_us,
           const Oddity& oddity = {}) {
    if (calls_->Use(*fleet_, token, instance, endpoint, time_us, UserAgent(token, time_us),
                    oddity)) {
      Cover(time_us);
    }
  }
  // Usual calls by one instance, spread over a time.
  void Series(const Token& token, uint32_t instance, int64_t time_us, int64_t uses, double hours,
              const Oddity& oddity = {}) {
    int64_t time = time_us;
    for (int64_t i = 0; i < uses; ++i) {
      Use(token, instance, calls_->UsualEndpoint(token, time), time, oddity);
      time +=
          static_cast<int64_t>(random_->Exponential(hours / static_cast<double>(uses)) * kHourUs) +
          50'000;
    }
  }
  uint32_t Usual(const Token& token, int64_t time_us) {
    return InstanceAt(token, token.workload, time_us, random_, fleet_);
  }
  // Another program on the machine.
  uint32_t Stranger(std::string name, std::string exe, std::string script, uint32_t machine,
                    int64_t time_us) {
    Workload workload;
    workload.name = std::move(name);
    workload.team = "root";
    workload.shape = Shape::kPoll;
    workload.exe = std::move(exe);
    workload.script = std::move(script);
    return AddInstance(workload, machine, time_us, "", random_, fleet_);
  }
  // A machine in a network of which none of the fleet's tokens came.
  uint32_t FarMachine() {
    const bool cloud = random_->Chance(0.5);
    const auto third = random_->Between(1, 250), fourth = random_->Between(2, 250);
    const int second = cloud ? static_cast<int>(random_->Between(16, 31))
                             : static_cast<int>(random_->Between(100, 140));
    return AddMachine(absl::StrCat(cloud ? "ip-" : "host-", random_->Word(8)),
                      absl::StrFormat("%d.%d.%d.%d", cloud ? 172 : 10, second, third, fourth),
                      random_, fleet_, traffic_);
  }
  uint32_t OddEndpoint(const Token& token, std::string_view method = "GET") {
    return calls_->AddEndpoint(
        absl::StrCat(std::string(method), " /", random_->Chance(0.5) ? "internal/" : "admin/",
                     random_->Word(7)),
        HostOf(token), method != "GET");
  }

  void StolenSameTool() {
    const int64_t time = SomeTime();
    Token* token = Pick(time, 1);
    if (token == nullptr) return;
    Workload thief = WorkloadOf(*token);
    thief.pods = false;
    const uint32_t instance = AddInstance(thief, FarMachine(), time, token->user, random_, fleet_);
    Begin("stolen_token_same_tool", *token, time);
    Series(*token, instance, time, random_->Between(8, 40), random_->In(0.5, 3));
    End();
  }

  void StolenOtherTool() {
    const int64_t time = SomeTime();
    Token* token = Pick(time, 1);
    if (token == nullptr) return;
    const bool curl = random_->Chance(0.5);
    const uint32_t instance = Stranger("session", curl ? "/usr/bin/curl" : "/usr/bin/python3.12",
                                       curl ? "" : "/home/ubuntu/get.py", FarMachine(), time);
    Begin("stolen_token_other_tool", *token, time);
    Series(*token, instance, time, random_->Between(4, 30), random_->In(0.3, 3),
           {.user_agent = curl ? "curl/8.14.1" : "python-httpx/0.28.1"});
    End();
  }

  void NewWorkload() {
    const int64_t time = SomeTime();
    Token* token = Pick(time, 2, [](const Token& t, const Workload& w) {
      return t.laptop == UINT32_MAX && w.shape != Shape::kCi;
    });
    if (token == nullptr) return;
    const uint32_t machine = fleet_->instances[Usual(*token, time)].machine;
    const uint32_t instance = random_->Chance(0.5)
                                  ? Stranger("backup-agent", "/usr/bin/rclone", "", machine, time)
                                  : Stranger("metrics-helper", "/usr/bin/python3.11",
                                             "/tmp/.cache/helper.py", machine, time);
    Begin("new_workload", *token, time);
    Series(*token, instance, time, random_->Between(5, 20), random_->In(0.2, 2),
           {.user_agent = random_->Chance(0.5) ? "rclone/v1.60.1" : "Python-urllib/3.11"});
    End();
  }

  void Exfiltration() {
    const int64_t time = SomeTime();
    Token* token = Pick(time, 10, [](const Token&, const Workload& w) {
      return w.shape != Shape::kHuman && w.shape != Shape::kCi && w.shape != Shape::kRare;
    });
    if (token == nullptr) return;
    const Workload& workload = WorkloadOf(*token);
    // Of its busiest hour.
    const double peak = workload.shape == Shape::kService ? token->rate
                        : workload.shape == Shape::kPoll  ? 3'600 / token->rate
                                                          : 2.5 * token->size;
    const double hours = random_->In(0.5, 3);
    const auto uses = static_cast<int64_t>(
        std::clamp(peak * random_->In(6, 15) * std::max(1.0, hours), 150.0, 30'000.0));
    const uint32_t instance = Usual(*token, time);
    const uint32_t endpoint = token->endpoints.front();
    Begin("exfiltration", *token, time);
    for (int64_t i = 0; i < uses; ++i) {
      Use(*token, instance, endpoint,
          time + static_cast<int64_t>(random_->Unit() * hours * kHourUs));
    }
    End();
  }

  void Enumeration() {
    const int64_t time = SomeTime();
    Token* token = Pick(time, 3);
    if (token == nullptr) return;
    const uint32_t instance = Usual(*token, time);
    const std::string base(Split(token->provider->reads, ',').front().substr(4));
    Begin("enumeration", *token, time);
    int64_t at = time;
    for (int64_t n = random_->Between(60, 200); n > 0; --n) {
      const uint32_t endpoint = calls_->AddEndpoint(
          absl::StrCat("GET ", base, "/", random_->Word(6)), HostOf(*token), false);
      Use(*token, instance, endpoint, at, {.status = random_->Chance(0.5) ? 200 : 404});
      at += static_cast<int64_t>(random_->Exponential(8) * kSecondUs);
    }
    End();
  }

  void DenialBurst() {
    const int64_t time = SomeTime();
    Token* token = Pick(time, 3);
    if (token == nullptr) return;
    const uint32_t instance = Usual(*token, time);
    std::vector<uint32_t> endpoints = token->endpoints;
    for (int i = 0; i < 6; ++i) endpoints.push_back(OddEndpoint(*token));
    Begin("denial_burst", *token, time);
    int64_t at = time;
    for (int64_t n = random_->Between(30, 120); n > 0; --n) {
      Use(*token, instance, random_->Of(endpoints), at,
          {.status = random_->Chance(0.85) ? 403 : 200});
      at += static_cast<int64_t>(random_->Exponential(8) * kSecondUs);
    }
    End();
  }

  void OffHours() {
    const int64_t day = (SomeTime() - kStartUs) / kDayUs;
    const int64_t base = kStartUs + day * kDayUs;
    Token* token =
        Pick(base, 2, [](const Token&, const Workload& w) { return w.shape == Shape::kHuman; });
    if (token == nullptr) return;
    const int64_t time =
        base +
        static_cast<int64_t>((random_->In(25, 28.5) - WorkloadOf(*token).zone_hours) * kHourUs);
    Begin("off_hours", *token, time);
    Series(*token, Usual(*token, time), time, random_->Between(5, 20), random_->In(0.2, 1));
    End();
  }

  void FirstWrite() {
    const int64_t time = SomeTime();
    Token* token = Pick(time, 4, [](const Token& t, const Workload&) {
      return t.read_only && !t.provider->reads.starts_with("POST") && !t.provider->jwt;
    });
    if (token == nullptr) return;
    const std::vector<std::string> writes = Split(token->provider->writes, ',');
    const uint32_t instance = Usual(*token, time);
    Begin("first_write", *token, time);
    for (int64_t n = random_->Between(1, 4); n > 0; --n) {
      const uint32_t endpoint = calls_->AddEndpoint(
          writes.empty() ? std::string("DELETE /api/v1/dashboard/{id}") : random_->Of(writes),
          HostOf(*token), true);
      Use(*token, instance, endpoint, time + random_->Between(0, 20) * kMinuteUs, {.status = 200});
    }
    End();
  }

  void DormantRevived() {
    const uint32_t days = fleet_->options.days;
    const int64_t stop = kStartUs + static_cast<int64_t>(random_->In(3, 5) * kDayUs);
    const int64_t time =
        std::max(stop + 10 * kDayUs,
                 kStartUs + static_cast<int64_t>(random_->In(days * 0.7, days - 3.1) * kDayUs));
    Token* token = Pick(time, 4, [](const Token& t, const Workload& w) {
      return t.secrets.size() == 1 && t.from_us == kStartUs && w.shape != Shape::kHuman;
    });
    if (token == nullptr) return;
    changes_[traffic_->SubjectOf(traffic_->TokenName(token->secrets[0].token))] = {stop, true};
    Begin("dormant_revived", *token, time);
    Series(*token, Usual(*token, time), time, random_->Between(3, 15), random_->In(0.1, 2));
    End();
  }

  void CurlByHand() {
    const int64_t time = SomeTime();
    Token* token = Pick(time, 5, [](const Token& t, const Workload& w) {
      return w.pods && t.second == UINT32_MAX && !w.agent_pattern.starts_with("curl");
    });
    if (token == nullptr) return;
    const uint32_t usual = Usual(*token, time);
    Instance instance = fleet_->instances[usual];
    instance.workload.set_exe("/usr/bin/curl");
    instance.workload.set_comm("curl");
    instance.workload.set_script("");
    instance.workload.set_parent_exe("/bin/sh");
    instance.workload.set_pid(static_cast<uint32_t>(random_->Between(1'000, 4'000'000)));
    fleet_->instances.push_back(std::move(instance));
    Begin("new_user_agent", *token, time);
    Series(*token, static_cast<uint32_t>(fleet_->instances.size() - 1), time,
           random_->Between(2, 10), random_->In(0.1, 1), {.user_agent = "curl/8.5.0"});
    End();
  }

  void ForeignHost() {
    const int64_t time = SomeTime();
    Token* token = Pick(time, 1, [](const Token& t, const Workload&) {
      return t.provider->format != "opaque" && !t.provider->jwt;
    });
    if (token == nullptr) return;
    const uint32_t host = calls_->Host(absl::StrCat("collect-", random_->Word(5), ".example"),
                                       absl::StrCat("45.", random_->Between(100, 160)));
    const uint32_t endpoint = calls_->AddEndpoint("POST /upload", host, true);
    const uint32_t instance = Usual(*token, time);
    Begin("foreign_host", *token, time);
    for (int64_t n = random_->Between(1, 5); n > 0; --n) {
      Use(*token, instance, endpoint, time + random_->Between(0, 30) * kMinuteUs,
          {.status = 200, .traits = v1::USE_TRAIT_FOREIGN_HOST});
    }
    End();
  }

  void NewDestination() {
    const int64_t time = SomeTime();
    Token* token = Pick(time, 10, [](const Token& t, const Workload&) {
      return t.provider->networks.find(' ') == std::string_view::npos;
    });
    if (token == nullptr) return;
    Begin("new_destination", *token, time);
    Series(*token, Usual(*token, time), time, random_->Between(3, 20), random_->In(0.2, 1.5),
           {.peer = absl::StrFormat("91.%d.%d.%d", static_cast<int>(random_->Between(190, 240)),
                                    static_cast<int>(random_->Between(1, 250)),
                                    static_cast<int>(random_->Between(1, 250)))});
    End();
  }

  void Cleartext() { Trait("cleartext", v1::USE_TRAIT_CLEARTEXT); }
  void InQuery() { Trait("in_query", v1::USE_TRAIT_IN_QUERY); }
  void Trait(std::string_view kind, uint32_t trait) {
    const int64_t time = SomeTime();
    Token* token = Pick(time, 1);
    if (token == nullptr) return;
    Begin(kind, *token, time);
    Series(*token, Usual(*token, time), time, random_->Between(2, 20), random_->In(0.1, 2),
           {.traits = trait});
    End();
  }

  void ExpiredUsed() {
    const int64_t time = SomeTime();
    Token* token = Pick(time, 5, [](const Token& t, const Workload&) { return t.provider->jwt; });
    if (token == nullptr) return;
    const Secret* old = SecretAt(*token, time - random_->Between(3, 20) * kHourUs);
    const uint32_t instance = Usual(*token, time);
    Begin("expired_used", *token, time);
    int64_t at = time;
    for (int64_t n = random_->Between(3, 20); n > 0; --n) {
      calls_->UseSecret(
          *fleet_, *token->provider, old->token, instance, calls_->UsualEndpoint(*token, at), at,
          UserAgent(*token, at), UINT32_MAX,
          {.status = random_->Chance(0.6) ? 401 : 200, .traits = v1::USE_TRAIT_EXPIRED});
      Cover(at);
      at += static_cast<int64_t>(random_->Exponential(60) * kSecondUs);
    }
    End();
  }

  void RevokedUsed() {
    const int64_t time = SomeTime(3.1);
    Token* token = Pick(time, 10, [](const Token& t, const Workload& w) {
      return !t.provider->jwt && w.shape != Shape::kHuman && t.refused == UINT32_MAX;
    });
    if (token == nullptr) return;
    Begin("revoked_used", *token, time);
    changes_[traffic_->SubjectOf(label_.token_id)] = {time, false};
    Cover(time);
    Cover(fleet_->end_us - 1);
    End();
  }

  const Workload* AnotherService(const Token& token, int64_t time_us, uint32_t* index) {
    for (int i = 0; i < 1'000; ++i) {
      *index = static_cast<uint32_t>(random_->Below(fleet_->workloads.size()));
      const Workload& other = fleet_->workloads[*index];
      if (other.shape == Shape::kService && other.pods && *index != token.workload &&
          *index != token.second && other.name_space != WorkloadOf(token).name_space &&
          other.from_us <= time_us && other.to_us == fleet_->end_us) {
        return &other;
      }
    }
    return nullptr;
  }

  void SharedToken() { Another("shared_token", true); }
  void CrossNamespace() { Another("cross_namespace", false); }
  void Another(std::string_view kind, bool stays) {
    const int64_t time = SomeTime(4);
    Token* token = Pick(time, 5, [&](const Token& t, const Workload& w) {
      return t.laptop == UINT32_MAX && w.shape != Shape::kCi && (stays || w.pods);
    });
    if (token == nullptr) return;
    uint32_t other = 0;
    if (AnotherService(*token, time, &other) == nullptr) return;
    const double every = stays ? random_->In(0.2, 1) : random_->In(0.02, 0.2);  // hours
    const int64_t to = stays ? fleet_->end_us : time + 2 * kHourUs;
    Begin(kind, *token, time);
    int64_t at = time;
    do {
      Use(*token, InstanceAt(*token, other, at, random_, fleet_), calls_->UsualEndpoint(*token, at),
          at, {.user_agent = ReleaseAt(fleet_->workloads[other], at).user_agent});
      at += static_cast<int64_t>(random_->Exponential(every) * kHourUs);
    } while (at < to);
    End();
  }

  void SlowProbing() {
    const auto days = random_->Between(8, 10);
    const int64_t time = std::max(kStartUs + 7 * kDayUs, SomeTime(static_cast<double>(days)));
    Token* token = Pick(time, 10, [](const Token& t, const Workload& w) {
      return t.secrets.size() == 1 && w.shape != Shape::kHuman && w.shape != Shape::kCi &&
             t.tail == 0;
    });
    if (token == nullptr) return;
    Begin("slow_probing", *token, time);
    for (int64_t day = 0; day < days; ++day) {
      for (int64_t n = random_->Between(1, 2); n > 0; --n) {
        const int64_t at =
            time + day * kDayUs + static_cast<int64_t>(random_->Unit() * 10 * kHourUs);
        if (at >= fleet_->end_us) continue;
        constexpr int kAnswers[] = {200, 403, 404, 404};
        Use(*token, Usual(*token, at), OddEndpoint(*token), at,
            {.status = kAnswers[random_->Below(4)]});
      }
    }
    End();
  }

  void TokenInvention() {
    const int64_t time = SomeTime();
    Token* token = Pick(time, 10, [](const Token& t, const Workload& w) {
      return w.shape == Shape::kService && !t.provider->jwt;
    });
    if (token == nullptr) return;
    const uint32_t instance = Usual(*token, time);
    label_ = Label();
    label_.kind = "token_invention";
    label_.from_us = INT64_MAX;
    int64_t at = time;
    for (int64_t n = random_->Between(80, 300); n > 0; --n) {
      const std::string id = NewTokenId(random_);
      if (label_.token_id.empty()) {
        label_.token_id = id;
      } else {
        label_.others.push_back(id);
      }
      calls_->UseSecret(*fleet_, *token->provider, traffic_->Token(id, ""), instance,
                        token->endpoints.front(), at, UserAgent(*token, at), UINT32_MAX,
                        {.status = random_->Chance(0.9) ? 401 : 200});
      Cover(at);
      at += static_cast<int64_t>(random_->Exponential(10) * kSecondUs);
    }
    End();
  }

  void FirstOfFormat() {
    if (number_ >= RareProviders().size()) return;
    const ProviderRow& provider = RareProviders()[number_];
    const int64_t time = SomeTime();
    Token* by = Pick(time, 5, [](const Token&, const Workload& w) {
      return w.shape == Shape::kService || w.shape == Shape::kPoll;
    });
    if (by == nullptr) return;
    Token token;
    token.provider = &provider;
    token.workload = by->workload;
    token.from_us = time;
    token.to_us = fleet_->end_us;
    const uint32_t host = calls_->Host(provider.host, provider.networks);
    token.endpoints = {calls_->AddEndpoint(provider.reads, host, false),
                       calls_->AddEndpoint(provider.writes, host, true)};
    token.weights = {1, 2};
    token.since_us = {0, 0};
    token.secrets = {{time, fleet_->end_us, traffic_->Token(NewTokenId(random_), "")}};
    Begin("first_of_format", token, time);
    Series(token, Usual(token, time), time, random_->Between(5, 30), random_->In(0.5, 20));
    End();
  }

  void VolumeDrop() {
    const int64_t time = SomeTime(4);
    Token* token = Pick(time, 100, [](const Token& t, const Workload& w) {
      return !t.provider->jwt && t.secrets.size() == 1 && t.second == UINT32_MAX &&
             (w.shape == Shape::kPoll || (w.shape == Shape::kService && t.rate > 15));
    });
    if (token == nullptr) return;
    Begin("volume_drop", *token, time);
    changes_[traffic_->SubjectOf(label_.token_id)] = {time, true};
    Cover(time);
    Cover(time + 2 * kDayUs);
    End();
  }

  void LowAndSlow() {
    const int64_t time = SomeTime(7);
    Token* token = Pick(time, 5, [](const Token& t, const Workload& w) {
      return !w.flat && w.shape == Shape::kService && t.rate < 20 && t.secrets.size() == 1 &&
             t.tail == 0;
    });
    if (token == nullptr) return;
    const uint32_t endpoint = calls_->AddEndpoint(
        absl::StrCat("GET /export/", random_->Word(5), "/{id}"), HostOf(*token), false);
    const int64_t first = (time - kStartUs) / kDayUs;
    Begin("low_slow_exfiltration", *token, time);
    for (int64_t night = first; night < first + 6; ++night) {
      for (int64_t n = random_->Between(6, 15); n > 0; --n) {
        const double hour = random_->In(25, 28) - WorkloadOf(*token).zone_hours;
        const int64_t at = kStartUs + night * kDayUs + static_cast<int64_t>(hour * kHourUs);
        Use(*token, Usual(*token, at), endpoint, at, {.status = 200});
      }
    }
    End();
  }

  void PolicyViolation() {
    const int64_t time = SomeTime();
    Token* token = Pick(time, 1, [](const Token& t, const Workload&) {
      return t.provider->format == "stripe_secret_live" || t.provider->format == "datadog_app";
    });
    if (token == nullptr) return;
    uint32_t endpoint = 0;
    if (token->provider->format == "datadog_app") {
      endpoint = calls_->AddEndpoint("POST /api/v1/monitor", HostOf(*token), true);
    } else {
      endpoint = calls_->AddEndpoint(
          "GET /v1/files", calls_->Host("files.stripe.com", token->provider->networks), false);
    }
    Begin("policy_violation", *token, time);
    for (int64_t n = random_->Between(1, 6); n > 0; --n) {
      Use(*token, Usual(*token, time), endpoint, time + random_->Between(0, 40) * kMinuteUs,
          {.status = 200});
    }
    End();
  }

  Random* const random_;
  Calls* const calls_;
  Traffic* const traffic_;
  Fleet* const fleet_;
  uint32_t number_ = 0;  // of the misuses of one kind
  Label label_;
  absl::flat_hash_map<uint32_t, Change> changes_;  // by subject
};

}  // namespace

void AddMisuses(Random* random, Calls* calls, Traffic* traffic, Fleet* fleet) {
  Misuses(random, calls, traffic, fleet).Add();
}

std::string GeneratedPolicy() {
  return "rules:\n"
         "  - id: stripe-hosts\n"
         "    match: {format: stripe_secret_live}\n"
         "    allow: {hosts: [api.stripe.com]}\n"
         "  - id: dashboards-are-read\n"
         "    match: {format: datadog_app}\n"
         "    allow: {methods: [GET, HEAD]}\n";
}

}  // namespace tokenwatch
