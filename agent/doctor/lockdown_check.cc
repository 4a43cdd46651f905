// The kernel's lockdown mode (kernel_lockdown(7)).
#include "absl/strings/str_cat.h"
#include "agent/doctor/check.h"

namespace tokenwatch {

std::vector<Finding> CheckLockdownMode(const DoctorContext& context) {
  const std::string& mode = context.facts.lockdown;
  if (mode.empty()) {
    return {Unknown("lockdown", "the kernel does not tell, or has none",
                    "mount securityfs at /sys/kernel/security to know")};
  }
  return {FromStatus(absl::StrCat("lockdown ", mode), CheckLockdown(context.facts))};
}

}  // namespace tokenwatch
