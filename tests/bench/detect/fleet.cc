#include "tests/bench/detect/fleet.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/common/token_id.h"
#include "tests/bench/detect/calls.h"

namespace tokenwatch {
namespace {

// How workloads and tokens are spread over shapes.
struct ShapeRow {
  Shape shape;
  double workloads, tokens;
};
constexpr ShapeRow kShapes[] = {
    {Shape::kService, 0.40, 0.38}, {Shape::kPoll, 0.13, 0.10}, {Shape::kCron, 0.17, 0.12},
    {Shape::kBatch, 0.07, 0.05},   {Shape::kCi, 0.06, 0.10},   {Shape::kHuman, 0.07, 0.17},
    {Shape::kRare, 0.10, 0.08},
};

constexpr std::string_view kTeams[] = {"payments", "shop",   "search",   "logistics", "platform",
                                       "identity", "growth", "data-eng", "support",   "billing"};
constexpr std::string_view kNames[] = {"api",    "worker",  "sync",     "gateway", "mailer",
                                       "events", "reports", "importer", "webhook", "catalog"};

// Of a weekday between 9 and 17 in the zone.
int64_t OfficeTime(int64_t day_us, int zone_hours, Random* random) {
  return day_us + (9 - zone_hours) * kHourUs + static_cast<int64_t>(random->In(0, 8) * kHourUs);
}

bool IsWeekday(int64_t day) { return day % 7 < 5; }

class Builder {
 public:
  Builder(const FleetOptions& options, Random* random, Traffic* traffic, Calls* calls)
      : random_(random), traffic_(traffic), calls_(calls) {
    fleet_.options = options;
    fleet_.end_us = kStartUs + options.days * kDayUs;
  }

  Fleet Build() {
    const FleetOptions& options = fleet_.options;
    for (const uint32_t day : {options.days / 3, options.days * 2 / 3 + 1}) {
      if (random_->Chance(0.8)) fleet_.holidays.push_back(kStartUs + day * kDayUs);
    }
    const uint32_t scale = std::max(2u, options.workloads / 3);
    for (uint32_t i = 0; i < scale; ++i) {
      fleet_.nodes.push_back(Add(absl::StrFormat("node-%02d", i), 20, i));
    }
    for (uint32_t i = 0; i < scale; ++i) {
      fleet_.vms.push_back(Add(absl::StrFormat("vm-%02d", i), 40, i));
    }
    for (uint32_t day = 0; day <= options.days; ++day) {
      std::vector<uint32_t> runners;
      for (uint32_t i = 0; i < std::max(2u, scale / 3); ++i) {
        runners.push_back(Add(absl::StrFormat("runner-%s", random_->Word(6)), 60,
                              static_cast<uint32_t>(random_->Below(2'000))));
      }
      fleet_.runners_of_day.push_back(std::move(runners));
    }
    for (const ShapeRow& row : kShapes) {
      const auto workloads = std::max<uint32_t>(1, std::lround(row.workloads * options.workloads));
      const auto tokens = std::max<uint32_t>(workloads, std::lround(row.tokens * options.tokens));
      const auto first = static_cast<uint32_t>(fleet_.workloads.size());
      for (uint32_t i = 0; i < workloads; ++i) AddWorkload(row.shape);
      for (uint32_t i = 0; i < tokens; ++i) {
        // Each has one, then some have many.
        const uint32_t workload =
            i < workloads ? i : static_cast<uint32_t>(random_->Zipf(workloads));
        AddToken(first + workload);
      }
    }
    for (Workload& workload : fleet_.workloads) Deploys(&workload);
    return std::move(fleet_);
  }

 private:
  uint32_t Add(std::string name, int second, uint32_t index) {
    return AddMachine(std::move(name),
                      absl::StrFormat("10.%d.%d.%d", second, index / 60, index % 60 * 4 + 7),
                      random_, &fleet_, traffic_);
  }

  void AddWorkload(Shape shape) {
    Workload workload;
    const size_t number = fleet_.workloads.size();
    workload.team = std::string(kTeams[random_->Below(std::size(kTeams))]);
    workload.name = absl::StrCat(workload.team, "-",
                                 std::string(kNames[random_->Below(std::size(kNames))]), number);
    workload.name_space = workload.team;
    workload.shape = shape;
    workload.zone_hours = std::vector<int>{1, 1, -5, 5}[random_->Below(4)];
    workload.from_us = kStartUs;
    workload.to_us = fleet_.end_us;
    workload.flat = random_->Chance(0.25);
    workload.office_only = shape == Shape::kBatch && random_->Chance(0.6);
    workload.growth = random_->Chance(0.4) ? random_->In(0, 0.6) : random_->In(-0.1, 0.1);
    workload.pods = shape == Shape::kService ? random_->Chance(0.85)
                    : shape == Shape::kPoll  ? random_->Chance(0.4)
                    : shape == Shape::kCron  ? random_->Chance(0.6)
                    : shape == Shape::kCi    ? false
                    : shape == Shape::kHuman ? false
                                             : random_->Chance(0.5);
    const bool tool = shape == Shape::kHuman || shape == Shape::kCi;
    const auto agents = tool ? ToolAgents() : ServiceAgents();
    const AgentRow& agent = agents[random_->Below(agents.size())];
    workload.agent_pattern = std::string(agent.pattern);
    workload.language = std::string(agent.language);
    if (workload.language == "python") {
      workload.exe = "/usr/bin/python3.11";
      workload.script = absl::StrCat("/srv/", workload.name, "/main.py");
    } else if (workload.language == "node") {
      workload.exe = "/usr/local/bin/node";
      workload.script = tool ? std::string("/usr/lib/node_modules/npm/bin/npm-cli.js")
                             : absl::StrCat("/srv/", workload.name, "/server.js");
    } else if (workload.language == "java") {
      workload.exe = "/opt/java/openjdk/bin/java";
    } else {
      workload.exe = tool ? workload.language : absl::StrCat("/usr/local/bin/", workload.name);
    }
    // Some services come in the middle of the month, some go.
    const uint32_t days = fleet_.options.days;
    if (shape != Shape::kHuman && shape != Shape::kCi && number % 60 > 3) {
      if (random_->Chance(0.07)) {
        workload.from_us = OfficeTime(kStartUs + random_->Between(days / 4, days * 3 / 4) * kDayUs,
                                      workload.zone_hours, random_);
      } else if (random_->Chance(0.05)) {
        workload.to_us = OfficeTime(kStartUs + random_->Between(days / 2, days * 4 / 5) * kDayUs,
                                    workload.zone_hours, random_);
      }
    }
    std::vector<uint32_t> all = workload.pods ? fleet_.nodes : fleet_.vms;
    const size_t machines = workload.pods ? all.size() : shape == Shape::kService ? 2 : 1;
    for (size_t i = 0; i < std::min(machines, all.size()); ++i) {
      std::swap(all[i], all[i + random_->Below(all.size() - i)]);
      workload.machines.push_back(all[i]);
    }
    fleet_.workloads.push_back(std::move(workload));
  }

  void AddToken(uint32_t workload_index) {
    Workload& workload = fleet_.workloads[workload_index];
    Token token;
    token.workload = workload_index;
    const bool human = workload.shape == Shape::kHuman;
    do {
      token.provider = &Providers()[random_->Below(Providers().size())];
    } while ((human && !token.provider->for_humans) ||
             (workload.shape == Shape::kCi && !token.provider->for_ci) ||
             (workload.shape == Shape::kPoll && token.provider->reads.empty()));
    token.from_us = workload.from_us;
    token.to_us = workload.to_us;
    ChooseEndpoints(workload, &token);
    ChooseRate(workload, &token);
    if (human) {
      token.user =
          absl::StrCat(random_->Word(1, "abcdefghjklmnprstvw"), random_->Word(6, "aeioulnrst"));
      token.laptop =
          Add(absl::StrCat("lap-", token.user), 80, static_cast<uint32_t>(fleet_.laptops.size()));
      Machine& laptop = fleet_.machines[token.laptop];
      laptop.home_source = traffic_->AddSource(
          {laptop.agent, absl::StrFormat("10.90.1.%d", fleet_.laptops.size() % 250 + 2),
           random_->Bytes(16)});
      fleet_.laptops.push_back(token.laptop);
      if (random_->Chance(0.03)) {
        token.next_laptop_us = kStartUs + random_->Between(4, 25) * kDayUs;
        token.next_laptop = Add(absl::StrCat("lap-", token.user, "-2"), 80,
                                static_cast<uint32_t>(fleet_.laptops.size()));
        fleet_.laptops.push_back(token.next_laptop);
      }
    } else if (workload.shape == Shape::kService && random_->Chance(0.05)) {
      // A worker beside the service uses it too.
      for (uint32_t i = 0; i < workload_index; ++i) {
        const Workload& other = fleet_.workloads[i];
        if (other.shape == Shape::kService && other.from_us == kStartUs &&
            other.to_us == fleet_.end_us && workload.from_us == kStartUs) {
          token.second = i;
        }
      }
    }
    Secrets(workload, &token);
    workload.tokens.push_back(static_cast<uint32_t>(fleet_.tokens.size()));
    fleet_.tokens.push_back(std::move(token));
  }

  void ChooseEndpoints(const Workload& workload, Token* token) {
    const ProviderRow& provider = *token->provider;
    const uint32_t host = calls_->Host(provider.host, provider.networks);
    const std::vector<std::string> reads = Split(provider.reads, ',');
    const std::vector<std::string> writes = Split(provider.writes, ',');
    token->read_only =
        writes.empty() || random_->Chance(workload.shape == Shape::kPoll ? 0.7 : 0.4);
    std::vector<uint32_t> all;
    for (const std::string& read : reads) {
      if (all.empty() || random_->Chance(0.6))
        all.push_back(calls_->AddEndpoint(read, host, false));
    }
    if (workload.shape == Shape::kPoll && all.size() > 3) all.resize(3);
    if (!token->read_only) {
      for (const std::string& write : writes) {
        if (random_->Chance(0.7)) all.push_back(calls_->AddEndpoint(write, host, true));
      }
    }
    for (size_t i = 0; i + 1 < all.size(); ++i) {
      std::swap(all[i], all[i + random_->Below(all.size() - i)]);
    }
    token->endpoints = std::move(all);
    double sum = 0;
    for (size_t i = 0; i < token->endpoints.size(); ++i) {
      sum += random_->In(0.5, 1.5) / static_cast<double>((i + 1) * (i + 1));
      token->weights.push_back(sum);
      token->since_us.push_back(0);
    }
    if (!provider.tail.empty() && workload.shape != Shape::kPoll) {
      token->tail = workload.shape == Shape::kHuman || workload.shape == Shape::kCi
                        ? random_->In(0.2, 0.6)
                    : random_->Chance(0.3) ? random_->In(0.02, 0.3)
                                           : 0;
    }
    if (random_->Chance(0.04)) token->refused = token->endpoints.back();
  }

  void ChooseRate(const Workload& workload, Token* token) {
    switch (workload.shape) {
      case Shape::kService:
        token->rate = std::clamp(random_->LogNormal(4, 1.3), 0.3, 150.0);
        break;
      case Shape::kPoll:
        token->rate = std::vector<double>{60, 60, 120, 300, 300, 900}[random_->Below(6)];
        break;
      case Shape::kCron: {
        const double kind = random_->Unit();
        token->period_us = kind < 0.45   ? kHourUs
                           : kind < 0.55 ? 6 * kHourUs
                           : kind < 0.85 ? kDayUs
                           : kind < 0.96 ? 7 * kDayUs
                                         : 29 * kDayUs;  // seen twice where it is monthly
        token->phase_us =
            token->period_us >= kDayUs
                ? random_->Between(
                      0, token->period_us > 7 * kDayUs ? 12 : token->period_us / kHourUs - 1) *
                          kHourUs +
                      random_->Between(0, 59) * kMinuteUs
                : random_->Between(0, 59) * kMinuteUs;
        token->size = std::clamp(random_->LogNormal(8, 0.9), 1.0, 300.0);
        token->sigma = random_->In(0, 0.25);
        break;
      }
      case Shape::kBatch:
        token->rate = random_->In(0.5, 6);
        token->size = std::clamp(random_->LogNormal(40, 0.8), 5.0, 600.0);
        token->sigma = random_->In(0.3, 0.7);
        break;
      case Shape::kCi:
        token->rate = random_->In(2, 15);
        token->size = random_->In(3, 12);
        token->sigma = 0.4;
        break;
      case Shape::kHuman:
        token->rate = std::clamp(random_->LogNormal(2, 0.7), 0.3, 8.0);
        token->size = random_->In(2, 10);
        token->sigma = 0.7;
        break;
      case Shape::kRare:
        token->rate = std::clamp(random_->LogNormal(0.6, 0.9), 0.1, 4.0);
        token->size = random_->In(1, 3);
        break;
    }
  }

  void Secrets(const Workload& workload, Token* token) {
    if (token->provider->jwt) {
      token->credential = CrockfordText("cred_", absl::MakeConstSpan(Random16()));
      for (int64_t from = token->from_us - kHourUs; from < token->to_us; from += kHourUs) {
        token->secrets.push_back(
            {from, from + kHourUs, traffic_->Token(NewTokenId(random_), token->credential)});
      }
      return;
    }
    Secret secret{token->from_us, token->to_us, traffic_->Token(NewTokenId(random_), "")};
    const int64_t days = (token->to_us - token->from_us) / kDayUs;
    if (days > 8 && random_->Chance(workload.shape == Shape::kHuman ? 0.04 : 0.1)) {
      const int64_t at = OfficeTime(
          kStartUs +
              ((token->from_us - kStartUs) / kDayUs + random_->Between(3, days - 3)) * kDayUs,
          workload.zone_hours, random_);
      secret.to_us = at + static_cast<int64_t>(random_->In(0.2, 8) * kHourUs);
      token->secrets.push_back(secret);
      secret = {at, token->to_us, traffic_->Token(NewTokenId(random_), "")};
    }
    token->secrets.push_back(secret);
  }

  std::vector<uint8_t> Random16() {
    const std::string bytes = random_->Bytes(16);
    return {bytes.begin(), bytes.end()};
  }

  // Each brings new processes, mostly a new version, and now and then something new to do.
  void Deploys(Workload* workload) {
    const bool human = workload->shape == Shape::kHuman;
    const double every = workload->shape == Shape::kService ? random_->In(2, 9)
                         : workload->pods                   ? random_->In(5, 15)
                                                            : random_->In(9, 25);
    auto version = static_cast<uint32_t>(random_->Below(8));
    int replicas = static_cast<int>(random_->Between(2, 4));
    const bool stands = workload->shape == Shape::kService || workload->shape == Shape::kPoll ||
                        workload->shape == Shape::kRare;
    if (workload->shape != Shape::kService) replicas = 1;
    int64_t at = workload->from_us;
    for (bool first = true; at < workload->to_us; first = false) {
      // Now and then pods only move, because their node is replaced.
      const bool moved = !first && workload->pods && random_->Chance(0.15);
      if (moved) AddNode(workload);
      if (!first && !moved) {
        ++version;
        if (random_->Chance(0.03)) AnotherLibrary(workload);
        if (workload->shape == Shape::kService && random_->Chance(0.15)) ++replicas;
        if (random_->Chance(0.3) && !human) NewEndpoint(*workload, at);
        if (workload->pods && random_->Chance(0.1)) AddNode(workload);
      }
      if (!moved) {
        // Kubernetes writes a 32-bit hash with the ten letters that its digits become.
        workload->template_hash =
            random_->Word(static_cast<size_t>(random_->Between(8, 10)), "456789bcdf");
      }
      Release release;
      release.from_us = at;
      release.user_agent = AgentOfVersion(workload->agent_pattern, workload->name, version);
      for (int i = 0; stands && i < replicas; ++i) {
        const uint32_t machine =
            workload->machines[workload->pods ? random_->Below(workload->machines.size())
                                              : static_cast<size_t>(i) % workload->machines.size()];
        release.instances.push_back(AddInstance(*workload, machine, at, "", random_, &fleet_));
      }
      workload->releases.push_back(std::move(release));
      int64_t day = 0;
      do {
        at += static_cast<int64_t>(std::max(1.0, random_->Exponential(every)) * kDayUs);
        day = (at - kStartUs) / kDayUs;
      } while (!IsWeekday(day));
      at = OfficeTime(kStartUs + day * kDayUs, workload->zone_hours, random_);
    }
  }

  void AnotherLibrary(Workload* workload) {
    std::vector<std::string> others;
    for (const AgentRow& row : ServiceAgents()) {
      if (row.language == workload->language) others.emplace_back(row.pattern);
    }
    if (!others.empty()) workload->agent_pattern = random_->Of(others);
  }

  void NewEndpoint(const Workload& workload, int64_t at) {
    if (workload.tokens.empty()) return;
    Token& token = fleet_.tokens[random_->Of(workload.tokens)];
    const std::vector<std::string> reads = Split(token.provider->reads, ',');
    const uint32_t host = calls_->Host(token.provider->host, token.provider->networks);
    const uint32_t endpoint = calls_->AddEndpoint(random_->Of(reads), host, false);
    if (std::find(token.endpoints.begin(), token.endpoints.end(), endpoint) !=
        token.endpoints.end()) {
      return;
    }
    token.endpoints.push_back(endpoint);
    token.weights.push_back(token.weights.back() * random_->In(1.02, 1.2));
    token.since_us.push_back(at);
  }

  void AddNode(Workload* workload) {
    const uint32_t node = Add(absl::StrFormat("node-%02d", fleet_.nodes.size()), 20,
                              static_cast<uint32_t>(fleet_.nodes.size()));
    fleet_.nodes.push_back(node);
    workload->machines.push_back(node);
  }

  Random* const random_;
  Traffic* const traffic_;
  Calls* const calls_;
  Fleet fleet_;
};

}  // namespace

bool Fleet::IsHoliday(int64_t time_us) const {
  return std::any_of(holidays.begin(), holidays.end(), [&](int64_t holiday) {
    return time_us >= holiday && time_us < holiday + kDayUs;
  });
}

Fleet BuildFleet(const FleetOptions& options, Random* random, Traffic* traffic, Calls* calls) {
  return Builder(options, random, traffic, calls).Build();
}

uint32_t AddMachine(std::string name, std::string address, Random* random, Fleet* fleet,
                    Traffic* traffic) {
  Machine machine;
  const std::string bytes = random->Bytes(16);
  const std::vector<uint8_t> id(bytes.begin(), bytes.end());
  machine.agent = CrockfordText("agt_", absl::MakeConstSpan(id));
  machine.source = traffic->AddSource({machine.agent, address, random->Bytes(16)});
  machine.home_source = machine.source;
  machine.name = std::move(name);
  machine.address = std::move(address);
  fleet->machines.push_back(std::move(machine));
  return static_cast<uint32_t>(fleet->machines.size() - 1);
}

uint32_t SourceAt(const Machine& machine, int64_t time_us) {
  // Two days of the week, others for each.
  const int64_t day = (time_us - kStartUs) / kDayUs + machine.source;
  return day % 7 == 1 || day % 7 == 4 ? machine.home_source : machine.source;
}

uint32_t AddInstance(const Workload& workload, uint32_t machine, int64_t time_us,
                     const std::string& user, Random* random, Fleet* fleet) {
  Instance instance;
  instance.machine = machine;
  v1::Workload& made = instance.workload;
  made.set_host(fleet->machines[machine].name);
  made.set_pid(static_cast<uint32_t>(random->Between(1'000, 4'000'000)));
  made.mutable_start_time()->set_seconds(time_us / kSecondUs);
  made.set_exe(workload.exe);
  made.set_script(workload.script);
  made.set_comm(workload.exe.substr(workload.exe.rfind('/') + 1).substr(0, 15));
  instance.local_address = fleet->machines[machine].address;
  if (!user.empty()) {
    made.set_uid(1000);
    made.set_user(user);
    made.set_login_user(user);
    made.set_parent_exe("/usr/bin/bash");
    made.set_cgroup("/user.slice/user-1000.slice/session-3.scope");
  } else if (workload.pods) {
    made.set_uid(1001);
    made.set_namespace_(workload.name_space);
    made.set_pod(
        workload.shape == Shape::kCron
            ? absl::StrCat(workload.name, "-", time_us / kMinuteUs, "-", random->Word(5))
            : absl::StrCat(workload.name, "-", workload.template_hash, "-", random->Word(5)));
    made.set_service_account(workload.name);
    made.set_container_name(workload.name.substr(0, workload.name.find('-')));
    made.set_image(absl::StrCat("registry.corp.example/", workload.name));
    made.set_container_id(random->Word(64, "0123456789abcdef"));
    made.set_cgroup(absl::StrCat("/kubepods.slice/cri-containerd-", made.container_id(), ".scope"));
    instance.local_address =
        absl::StrFormat("10.244.%d.%d", machine % 250, static_cast<int>(random->Between(2, 250)));
  } else if (workload.shape == Shape::kCi) {
    made.set_uid(998);
    made.set_user("runner");
    made.set_parent_exe("/opt/runner/bin/Runner.Worker");
    made.set_unit("actions-runner.service");
    made.set_cgroup("/system.slice/actions-runner.service");
  } else {
    made.set_uid(990);
    made.set_user(workload.team);
    made.set_unit(absl::StrCat(workload.name, ".service"));
    made.set_cgroup(absl::StrCat("/system.slice/", made.unit()));
    made.set_parent_exe("/usr/lib/systemd/systemd");
  }
  fleet->instances.push_back(std::move(instance));
  return static_cast<uint32_t>(fleet->instances.size() - 1);
}

const Release& ReleaseAt(const Workload& workload, int64_t time_us) {
  const Release* at = &workload.releases.front();
  for (const Release& release : workload.releases) {
    if (release.from_us <= time_us) at = &release;
  }
  return *at;
}

uint32_t InstanceAt(const Token& token, uint32_t workload_index, int64_t time_us, Random* random,
                    Fleet* fleet) {
  const Workload& workload = fleet->workloads[workload_index];
  const Release& release = ReleaseAt(workload, time_us);
  if (!release.instances.empty()) return random->Of(release.instances);
  uint32_t machine = 0;
  if (token.laptop != UINT32_MAX) {
    machine = time_us >= token.next_laptop_us ? token.next_laptop : token.laptop;
  } else if (workload.shape == Shape::kCi) {
    machine = random->Of(fleet->runners_of_day[static_cast<size_t>((time_us - kStartUs) / kDayUs)]);
  } else {
    machine = random->Of(workload.machines);
  }
  return AddInstance(workload, machine, time_us, token.user, random, fleet);
}

std::string NewTokenId(Random* random) {
  const std::string bytes = random->Bytes(16);
  const std::vector<uint8_t> id(bytes.begin(), bytes.end());
  return TokenIdText(id);
}

}  // namespace tokenwatch
