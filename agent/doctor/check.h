// The checks of `tokenwatch-agent doctor`, one file each, and what they look at.
//
// A check makes and changes nothing, attaches no probe to a process of others, and reads no byte of
// traffic. What it may not look at without root it says.
#ifndef TOKENWATCH_AGENT_DOCTOR_CHECK_H_
#define TOKENWATCH_AGENT_DOCTOR_CHECK_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "agent/capture/host_facts.h"
#include "agent/capture/scope.h"
#include "agent/capture/socket_trial.h"
#include "agent/doctor/finding.h"
#include "agent/token/formats/formats.h"

namespace tokenwatch {

// Of the agent's configuration.
struct DoctorOptions {
  std::string collector;
  bool plaintext = false;
  std::string enrol_secret_file;  // empty: none is given
  std::vector<std::string> key_files;
  FormatOptions formats;
  std::string spool_dir;
  uint64_t spool_max_bytes = 0;
  Scope scope;
  std::string status_listen;
  std::string fingerprint_listen;  // a path
  std::string socket_backend = "auto";
};

// The host. Tests give copies of its files and trials of their own.
struct DoctorHost {
  std::string proc = "/proc";
  std::string sys = "/sys";
  std::string root;  // before absolute paths of sockets and files that are looked for by name
  std::function<std::vector<SocketTrial>()> try_sockets;
  std::function<std::string()> try_return_probes;  // HarmOfReturnProbes
  std::function<bool()> is_clock_synchronised;     // adjtimex(2)
  absl::Duration patience = absl::Seconds(3);      // with a collector that does not answer
};
DoctorHost ThisHost();

struct DoctorContext {
  DoctorOptions options;
  DoctorHost host;
  HostFacts facts;

  // Whether probes and programs can be tried at all.
  bool MayTry() const;
};

std::vector<Finding> CheckKernel(const DoctorContext& context);
std::vector<Finding> CheckOwnCapabilities(const DoctorContext& context);
std::vector<Finding> CheckLockdownMode(const DoctorContext& context);
std::vector<Finding> CheckSeccomp(const DoctorContext& context);
std::vector<Finding> CheckCgroups(const DoctorContext& context);
std::vector<Finding> CheckSockets(const DoctorContext& context);
std::vector<Finding> CheckLibraries(const DoctorContext& context);
std::vector<Finding> CheckContainerRuntime(const DoctorContext& context);
std::vector<Finding> CheckFleetKey(const DoctorContext& context);
std::vector<Finding> CheckTokenFormats(const DoctorContext& context);
std::vector<Finding> CheckSpool(const DoctorContext& context);
std::vector<Finding> CheckCollector(const DoctorContext& context);
std::vector<Finding> CheckClock(const DoctorContext& context);
std::vector<Finding> CheckPorts(const DoctorContext& context);

struct Check {
  const char* name;
  std::vector<Finding> (*run)(const DoctorContext& context);
};
absl::Span<const Check> Checks();

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_DOCTOR_CHECK_H_
