#include "tests/bench/detect/generator.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

namespace tokenwatch {
namespace {

// The share of its mean that a service's hour has, by its users' day and week.
double Curve(const Workload& workload, const Fleet& fleet, int64_t time_us) {
  const int64_t local = time_us - kStartUs + workload.zone_hours * kHourUs + 7 * kDayUs;
  const double hour = static_cast<double>(local % kDayUs) / kHourUs;
  const bool weekend = local / kDayUs % 7 >= 5;
  double share = 1;
  if (!workload.flat) {
    share = 0.12 + 0.88 * std::max(0.0, std::sin((hour - 6.5) / 15 * std::numbers::pi));
    if (weekend) share *= 0.5;
    if (fleet.IsHoliday(time_us)) share *= 0.45;
  }
  share *= 1 + workload.growth * static_cast<double>(time_us - kStartUs) /
                   static_cast<double>(fleet.end_us - kStartUs);
  // Those that go are drained for two days.
  if (workload.to_us < fleet.end_us) {
    share *= std::clamp(static_cast<double>(workload.to_us - time_us) / (2 * kDayUs), 0.0, 1.0);
  }
  return share;
}

class Normal {
 public:
  Normal(Random* random, Calls* calls, Fleet* fleet)
      : random_(random), calls_(calls), fleet_(fleet) {}

  void Add() {
    for (size_t i = 0; i < fleet_->workloads.size(); ++i) BusyHours();
    for (const Token& token : fleet_->tokens) {
      const Workload& workload = fleet_->workloads[token.workload];
      switch (workload.shape) {
        case Shape::kService:
          Service(token, workload);
          break;
        case Shape::kPoll:
          Poll(token, workload);
          break;
        case Shape::kCron:
          Cron(token, workload);
          break;
        case Shape::kBatch:
          Batch(token, workload);
          break;
        case Shape::kCi:
          Ci(token, workload);
          break;
        case Shape::kHuman:
          Human(token, workload);
          break;
        case Shape::kRare:
          Rare(token, workload);
          break;
      }
    }
  }

 private:
  // A campaign, a cold cache: a few hours of the month in which a service has more to do.
  void BusyHours() {
    std::vector<std::pair<int64_t, double>> busy;
    for (int n = random_->Poisson(1.2); n > 0; --n) {
      busy.emplace_back(kStartUs + random_->Between(0, fleet_->options.days * 24 - 1) * kHourUs,
                        random_->In(1.4, 2.4));
    }
    busy_.push_back(std::move(busy));
  }

  void One(const Token& token, uint32_t instance, int64_t time_us, const std::string& agent) {
    if (time_us < token.from_us || time_us >= token.to_us) return;
    const uint32_t endpoint = calls_->UsualEndpoint(token, time_us);
    // What fails is often tried again, soon.
    for (int tries = 0; tries < 3; ++tries) {
      if (!calls_->Use(*fleet_, token, instance, endpoint, time_us, agent)) return;
      const uint32_t status = calls_->last_status();
      if ((status != 0 && status != 429 && status < 500) || random_->Chance(0.4)) return;
      time_us += static_cast<int64_t>(random_->In(0.5, 6) * kSecondUs) << tries;
    }
  }

  // Uses of a process that begins now, one after the other.
  void Run(const Token& token, const Workload& workload, int64_t time_us, int uses,
           double gap_seconds) {
    if (time_us < token.from_us || time_us >= token.to_us || uses <= 0) return;
    const uint32_t instance = InstanceAt(token, token.workload, time_us, random_, fleet_);
    const std::string& agent = ReleaseAt(workload, time_us).user_agent;
    for (int i = 0; i < uses; ++i) {
      One(token, instance, time_us, agent);
      time_us += static_cast<int64_t>(random_->Exponential(gap_seconds) * kSecondUs) + 1'000;
    }
  }

  void Service(const Token& token, const Workload& workload) {
    for (int64_t hour = kStartUs; hour < fleet_->end_us; hour += kHourUs) {
      if (hour + kHourUs <= token.from_us || hour >= token.to_us) continue;
      double mean = token.rate * Curve(workload, *fleet_, hour) *
                    random_->LogNormal(1, workload.flat ? 0.1 : 0.2);
      for (const auto& [at, times] : busy_[token.workload]) {
        if (hour >= at && hour < at + 3 * kHourUs) mean *= times;
      }
      for (int n = random_->Poisson(mean); n > 0; --n) {
        const int64_t time = hour + static_cast<int64_t>(random_->Unit() * kHourUs);
        const uint32_t by =
            token.second != UINT32_MAX && random_->Chance(0.4) ? token.second : token.workload;
        const uint32_t instance = InstanceAt(token, by, time, random_, fleet_);
        One(token, instance, time, ReleaseAt(fleet_->workloads[by], time).user_agent);
      }
    }
  }

  void Poll(const Token& token, const Workload& workload) {
    const double interval = token.rate * kSecondUs;
    int64_t time = token.from_us + static_cast<int64_t>(random_->Unit() * interval);
    while (time < token.to_us) {
      const uint32_t instance = InstanceAt(token, token.workload, time, random_, fleet_);
      const std::string& agent = ReleaseAt(workload, time).user_agent;
      One(token, instance, time, agent);
      if (random_->Chance(0.02)) One(token, instance, time + 2 * kSecondUs, agent);  // once more
      if (random_->Chance(0.00002)) {  // a restart that hangs
        time += static_cast<int64_t>(random_->In(5, 25) * kMinuteUs);
      }
      time += static_cast<int64_t>(interval * random_->In(0.97, 1.03));
    }
  }

  void Cron(const Token& token, const Workload& workload) {
    for (int64_t at = kStartUs + token.phase_us; at < fleet_->end_us; at += token.period_us) {
      const int64_t time = at + static_cast<int64_t>(random_->Exponential(40) * kSecondUs);
      const double size = token.size * random_->LogNormal(1, token.sigma) *
                          (1 + workload.growth * static_cast<double>(at - kStartUs) /
                                   static_cast<double>(fleet_->end_us - kStartUs));
      const int uses = std::max(1, static_cast<int>(std::lround(size)));
      if (random_->Chance(0.01)) continue;  // did not start
      if (random_->Chance(0.02)) {          // failed half way, and again
        Run(token, workload, time, uses / 2, 1.5);
        Run(token, workload, time + random_->Between(10, 50) * kMinuteUs, uses, 1.5);
      } else {
        Run(token, workload, time, uses, 1.5);
      }
    }
  }

  void Batch(const Token& token, const Workload& workload) {
    for (int64_t day = kStartUs; day < fleet_->end_us; day += kDayUs) {
      const bool off = (day - kStartUs) / kDayUs % 7 >= 5 || fleet_->IsHoliday(day);
      if (off && workload.office_only) continue;
      for (int n = random_->Poisson(token.rate * (off ? 0.5 : 1)); n > 0; --n) {
        const double hour =
            workload.office_only ? random_->In(8, 18) - workload.zone_hours : random_->In(0, 24);
        const double size = std::min(2'000.0, token.size * random_->LogNormal(1, token.sigma));
        Run(token, workload, day + static_cast<int64_t>(hour * kHourUs), static_cast<int>(size) + 1,
            0.8);
      }
    }
  }

  // A time of day of people, in hours: two humps with a dip at noon.
  double OfficeHour() {
    double hour = 0;
    do {
      hour = random_->Chance(0.5) ? 10.6 + 1.2 * random_->Normal() : 15 + 1.5 * random_->Normal();
    } while (hour < 7.5 || hour > 19.5 || (hour > 12.2 && hour < 13.1 && random_->Chance(0.7)));
    return hour;
  }

  void Ci(const Token& token, const Workload& workload) {
    for (int64_t day = kStartUs; day < fleet_->end_us; day += kDayUs) {
      const bool off = (day - kStartUs) / kDayUs % 7 >= 5 || fleet_->IsHoliday(day);
      for (int n = random_->Poisson(token.rate * (off ? 0.08 : 1)); n > 0; --n) {
        // Some run at night, by schedule or for those who work late.
        const double hour = random_->Chance(0.1) ? random_->In(0, 24) : OfficeHour();
        Run(token, workload, day + static_cast<int64_t>((hour - workload.zone_hours) * kHourUs),
            static_cast<int>(token.size * random_->LogNormal(1, token.sigma)) + 1, 6);
      }
    }
  }

  void Human(const Token& token, const Workload& workload) {
    const int64_t leave = random_->Between(0, 60);  // a week of absence, of some
    for (int64_t day = kStartUs; day < fleet_->end_us; day += kDayUs) {
      const int64_t number = (day - kStartUs) / kDayUs;
      const bool off =
          number % 7 >= 5 || fleet_->IsHoliday(day) || (number >= leave && number < leave + 7);
      if (off && !random_->Chance(0.03)) continue;
      for (int n = random_->Poisson(token.rate); n > 0; --n) {
        Session(token, workload, day, OfficeHour());
      }
      if (random_->Chance(0.04)) Session(token, workload, day, random_->In(19.5, 22.8));
    }
  }
  void Session(const Token& token, const Workload& workload, int64_t day, double hour) {
    Run(token, workload, day + static_cast<int64_t>((hour - workload.zone_hours) * kHourUs),
        static_cast<int>(token.size * random_->LogNormal(1, token.sigma)) + 1, 25);
  }

  void Rare(const Token& token, const Workload& workload) {
    for (int64_t day = kStartUs; day < fleet_->end_us; day += kDayUs) {
      for (int n = random_->Poisson(token.rate); n > 0; --n) {
        Run(token, workload, day + static_cast<int64_t>(random_->Unit() * kDayUs),
            static_cast<int>(random_->In(1, token.size + 1)), 3);
      }
    }
  }

  Random* const random_;
  Calls* const calls_;
  Fleet* const fleet_;
  std::vector<std::vector<std::pair<int64_t, double>>> busy_;  // by workload
};

// Times in which a provider's answers fail for everybody.
std::vector<Incident> Incidents(const Fleet& fleet, Random* random) {
  std::vector<Incident> incidents;
  for (const std::string_view provider : {"GitHub", "Slack", "AWS", "Stripe", "Datadog"}) {
    if (!random->Chance(0.7)) continue;
    Incident incident;
    incident.provider = provider;
    incident.from_us = kStartUs + random->Between(kDayUs / kMinuteUs,
                                                  (fleet.end_us - kStartUs) / kMinuteUs - 200) *
                                      kMinuteUs;
    incident.to_us = incident.from_us + random->Between(15, 150) * kMinuteUs;
    incident.status = std::vector<uint16_t>{503, 500, 429, 502}[random->Below(4)];
    incident.share = random->In(0.3, 0.95);
    incidents.push_back(incident);
  }
  return incidents;
}

}  // namespace

Traffic Generate(const FleetOptions& options) {
  Traffic traffic;
  Random random(options.seed);
  Calls calls(&random, &traffic);
  Fleet fleet = BuildFleet(options, &random, &traffic, &calls);
  calls.incidents = Incidents(fleet, &random);
  Normal(&random, &calls, &fleet).Add();
  AddMisuses(&random, &calls, &traffic, &fleet);
  traffic.Sort();
  return traffic;
}

}  // namespace tokenwatch
