// Control groups, by which containers and units are known, and the groups in scope.
#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/doctor/check.h"

namespace tokenwatch {

std::vector<Finding> CheckCgroups(const DoctorContext& context) {
  std::ifstream mounts(context.host.proc + "/self/mounts");
  std::string unified;
  bool has_old = false;
  for (std::string line; std::getline(mounts, line);) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    if (fields.size() < 3) continue;
    if (fields[2] == "cgroup2" && unified.empty()) unified = fields[1];
    has_old |= fields[2] == "cgroup";
  }
  std::vector<Finding> findings;
  if (!context.facts.has_proc) {
    findings.push_back(
        Unknown("cgroups", "what is mounted is not known without /proc", "mount /proc"));
  } else if (unified.empty()) {
    findings.push_back(
        Degraded("cgroups", has_old ? "only version 1 is mounted" : "none are mounted",
                 "mount cgroup2 (mount -t cgroup2 none /sys/fs/cgroup/unified); --scope-cgroup and "
                 "--scope-namespace need it"));
  } else {
    findings.push_back(
        Ok(absl::StrCat("cgroup2 at ", unified), has_old ? "with version 1 beside it" : ""));
  }
  if (context.options.scope.IsWholeHost()) {
    findings.push_back(Ok("scope: the whole host"));
  } else {
    findings.push_back(FromStatus(absl::StrCat("scope: ", context.options.scope.Text()),
                                  CheckScope(context.options.scope)));
  }
  return findings;
}

}  // namespace tokenwatch
