// Who made a request.
#ifndef TOKENWATCH_AGENT_WORKLOAD_WORKLOAD_H_
#define TOKENWATCH_AGENT_WORKLOAD_WORKLOAD_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace tokenwatch {

// A process image (one exec of one process). Empty strings mean "not known" or "none".
struct Workload {
  std::string host;       // this machine's host name
  uint32_t pid = 0;       // init pid namespace
  absl::Time start_time;  // of the process
  std::string comm;
  std::string exe;     // as /proc/PID/exe shows it
  std::string script;  // absolute where the process's directory was known
  std::string parent_exe;
  uint32_t uid = 0;
  std::string user;        // name, or the number where there is none
  uint32_t login_uid = 0;  // meaningful where login_user is not empty
  std::string login_user;
  std::string cgroup;  // path below the cgroup mount
  std::string unit;    // systemd unit
  std::string container_id;
  std::string container_name;  // these six: see ContainerIdentity
  std::string image;
  std::string pod;
  std::string namespace_name;
  std::string service_account;
  std::string labels;
  // Those six are being looked for: WorkloadTable::Find will soon say more.
  bool naming = false;
  // So are the names of its users, which are numbers by now.
  bool naming_users = false;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_WORKLOAD_WORKLOAD_H_
