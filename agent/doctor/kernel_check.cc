// Kernel release and BTF.
#include "absl/strings/str_cat.h"
#include "agent/doctor/check.h"

namespace tokenwatch {

std::vector<Finding> CheckKernel(const DoctorContext& context) {
  const HostFacts& facts = context.facts;
  if (facts.release.empty()) {
    return {Unknown("kernel", "its release cannot be read", "mount /proc")};
  }
  return {FromStatus(absl::StrCat("kernel ", facts.release), CheckKernelRelease(facts)),
          FromStatus("BTF", CheckBtf(facts))};
}

}  // namespace tokenwatch
