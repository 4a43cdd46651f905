// Which backends would read plain HTTP here.
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/doctor/check.h"

namespace tokenwatch {

std::vector<Finding> CheckSockets(const DoctorContext& context) {
  if (!context.MayTry()) {
    return {Unknown("socket backends", "they cannot be tried by this process",
                    "run doctor as the agent runs")};
  }
  const std::string& wanted = context.options.socket_backend;
  std::vector<Finding> findings;
  bool has_one = false;
  for (const SocketTrial& trial : context.host.try_sockets()) {
    const std::string what = absl::StrCat("socket backend ", trial.backend);
    const bool counts = wanted == "auto" || wanted == trial.backend;
    if (trial.refused.empty()) {
      findings.push_back(Ok(what, counts && !has_one ? "works, and would be used" : "works"));
      has_one |= counts;
    } else if (wanted == trial.backend) {
      findings.push_back(Fails(what, trial.refused, "take another --socket-backend, or auto"));
    } else {
      findings.push_back(Ok(what, absl::StrCat("not on this kernel: ", trial.refused)));
    }
  }
  if (!has_one && wanted == "auto") {
    findings.push_back(
        Fails("socket backends", "none works here",
              "boot a kernel with CONFIG_FUNCTION_TRACER or CONFIG_KPROBES, or 6.16"));
  }
  return findings;
}

}  // namespace tokenwatch
