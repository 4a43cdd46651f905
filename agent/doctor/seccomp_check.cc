// Seccomp: a filter over the agent itself, and what the kernel's return probes do to programs under
// one.
#include "agent/doctor/check.h"

namespace tokenwatch {

std::vector<Finding> CheckSeccomp(const DoctorContext& context) {
  std::vector<Finding> findings;
  if (!context.facts.has_proc) {
    findings.push_back(Unknown("seccomp filter",
                               "whether this process is under one is not known "
                               "without /proc",
                               "mount /proc"));
  } else if (context.facts.has_seccomp_filter) {
    findings.push_back(Degraded(
        "seccomp filter", "this process is under one, which may refuse bpf and perf_event_open",
        "allow both in the container's profile, as runtimes do where CAP_SYS_ADMIN is granted"));
  } else {
    findings.push_back(Ok("no seccomp filter over this process"));
  }
  if (!context.MayTry()) {
    findings.push_back(Unknown("user-space probes", "they cannot be tried by this process",
                               "run doctor as the agent runs"));
    return findings;
  }
  const std::string harm = context.host.try_return_probes();
  if (harm.empty()) {
    findings.push_back(Ok("user-space probes", "tried on this program, under a seccomp filter"));
  } else {
    findings.push_back(Degraded("the kernel's return probes", harm,
                                "nothing: probes behind the calls are used where they are known"));
  }
  return findings;
}

}  // namespace tokenwatch
