// The capabilities of this process, which are those that an agent started likewise would have.
#include "absl/strings/str_cat.h"
#include "agent/capture/capabilities.h"
#include "agent/doctor/check.h"

namespace tokenwatch {

std::vector<Finding> CheckOwnCapabilities(const DoctorContext& context) {
  std::vector<Finding> findings;
  if (!context.facts.has_proc) {
    findings.push_back(Unknown("user namespace",
                               "whether this process is in one of its own is not "
                               "known without /proc",
                               "mount /proc"));
  }
  if (context.facts.in_user_namespace) {
    findings.push_back(
        Fails("user namespace",
              "this process is in one of its own, and its capabilities count in that "
              "only",
              "run on the host, or in a container that shares the host's user "
              "namespace"));
  }
  for (const CapabilityRow& row : CapabilityRows()) {
    if (HasCapability(context.facts, row)) continue;
    const std::string remedy = "run as root, or grant it to the service or container";
    if (row.without == nullptr) {
      findings.push_back(Fails(row.name, absl::StrCat("is missing, ", row.purpose), remedy));
    } else {
      findings.push_back(Degraded(row.name, absl::StrCat("is missing: ", row.without), remedy));
    }
  }
  return findings.empty() ? std::vector<Finding>{Ok("all that are needed")} : findings;
}

}  // namespace tokenwatch
