// The made-up organisation: machines, workloads with their deploys, tokens with their patterns.
#ifndef TOKENWATCH_TESTS_BENCH_DETECT_FLEET_H_
#define TOKENWATCH_TESTS_BENCH_DETECT_FLEET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/bench/detect/catalogue.h"
#include "tests/bench/detect/random.h"
#include "tests/bench/detect/traffic.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

struct FleetOptions {
  uint64_t seed = 1;
  uint32_t tokens = 500;
  uint32_t workloads = 60;
  uint32_t days = 30;    // at least 12
  uint32_t misuses = 5;  // of each kind
};

// 2026-03-02T00:00:00Z, a Monday.
inline constexpr int64_t kStartUs = 1'772'409'600 * kSecondUs;

enum class Shape : uint8_t {
  kService,  // follows its users through day and week
  kPoll,     // each minute or few, day and night
  kCron,
  kBatch,  // bursts
  kCi,
  kHuman,
  kRare,  // a few uses a day or week
};

struct Machine {
  std::string name, address, agent;
  // Of the Traffic: in the office, and on the other days at home.
  uint32_t source = 0, home_source = 0;
};

// A process, or replica, on a machine.
struct Instance {
  v1::Workload workload;
  uint32_t machine = 0;
  std::string local_address;
};

// What a workload is between two deploys.
struct Release {
  int64_t from_us = 0;
  std::vector<uint32_t> instances;  // that stand all the time; empty: one is made for each run
  std::string user_agent;
};

struct Workload {
  std::string name, name_space, team;
  Shape shape = Shape::kService;
  bool pods = false;   // else systemd units, CI jobs or people's programs
  int zone_hours = 0;  // of its users, from UTC
  bool office_only = false;
  bool flat = false;  // no difference between day and night
  std::string exe, script, agent_pattern, language;
  std::string template_hash;  // in the names of a release's pods
  std::vector<Release> releases;
  std::vector<uint32_t> machines;
  std::vector<uint32_t> tokens;
  int64_t from_us = 0, to_us = 0;
  double growth = 0;  // over the month
};

// A secret's time of use.
struct Secret {
  int64_t from_us = 0, to_us = 0;
  uint32_t token = 0;  // of the Traffic
};

struct Endpoint {
  std::string method, path;
  uint32_t host = 0;  // of the Calls
  bool write = false;
};

struct Token {
  const ProviderRow* provider = nullptr;
  uint32_t workload = 0;
  uint32_t second = UINT32_MAX;       // another workload that uses it by design
  uint32_t laptop = UINT32_MAX;       // of a person's
  uint32_t next_laptop = UINT32_MAX;  // which they get then
  int64_t next_laptop_us = INT64_MAX;
  std::string user;
  std::vector<Secret> secrets;
  std::vector<uint32_t> endpoints;  // of the Calls, the most used first
  std::vector<double> weights;      // each with those before it
  std::vector<int64_t> since_us;    // from when on each is called
  double tail = 0;                  // share of uses that go to one of many names
  int64_t from_us = 0, to_us = 0;
  bool read_only = false;
  uint32_t refused = UINT32_MAX;  // an endpoint that it was never allowed
  // Mean uses an hour, an interval in seconds, runs or bursts or sessions a day, or uses a day.
  double rate = 0;
  double size = 1;        // uses of a run
  double sigma = 0.2;     // of the size
  int64_t phase_us = 0;   // of runs
  int64_t period_us = 0;  // of runs
  bool misused = false;
  std::string credential;
};

struct Fleet {
  FleetOptions options;
  int64_t end_us = 0;
  std::vector<Machine> machines;
  std::vector<Instance> instances;
  std::vector<Workload> workloads;
  std::vector<Token> tokens;
  std::vector<uint32_t> nodes, vms, laptops;          // machines
  std::vector<std::vector<uint32_t>> runners_of_day;  // machines that live for a day
  std::vector<int64_t> holidays;                      // their first microseconds

  bool IsHoliday(int64_t time_us) const;
};

class Calls;

Fleet BuildFleet(const FleetOptions& options, Random* random, Traffic* traffic, Calls* calls);

// A machine more, with an agent of its own.
uint32_t AddMachine(std::string name, std::string address, Random* random, Fleet* fleet,
                    Traffic* traffic);
// Where the machine's agent speaks from on that day.
uint32_t SourceAt(const Machine& machine, int64_t time_us);
// A process of the workload on the machine that starts then, by that user where it is a person's.
uint32_t AddInstance(const Workload& workload, uint32_t machine, int64_t time_us,
                     const std::string& user, Random* random, Fleet* fleet);
// One that runs then: a replica, or the process of a run that begins.
uint32_t InstanceAt(const Token& token, uint32_t workload, int64_t time_us, Random* random,
                    Fleet* fleet);
const Release& ReleaseAt(const Workload& workload, int64_t time_us);
std::string NewTokenId(Random* random);

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BENCH_DETECT_FLEET_H_
