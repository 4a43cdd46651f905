// What the kernel allows this process, said by name.
#ifndef TOKENWATCH_AGENT_CAPTURE_CAPABILITIES_H_
#define TOKENWATCH_AGENT_CAPTURE_CAPABILITIES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "agent/capture/host_facts.h"

namespace tokenwatch {

// A capability, what it is for, and what goes without it.
struct CapabilityRow {
  int bit;
  const char* name;
  const char* purpose;
  // What is lost where it is missing; null: nothing can be captured then.
  const char* without;
  // CAP_SYS_ADMIN has it in it (capabilities(7)).
  bool in_sys_admin = false;
  // Asked for only where the kernel counts the memory of BPF maps as locked (before 5.11), and that
  // is bounded.
  bool for_locked_memory = false;
};

// Those that are needed come first.
absl::Span<const CapabilityRow> CapabilityRows();

// Whether the row's capability is there, or not asked for.
bool HasCapability(const HostFacts& facts, const CapabilityRow& row);

// OK where this process has every capability without which nothing can be captured; else
// PermissionDenied naming each missing one, what it is for, and what to do. Attaching through the
// perf PMU asks for CAP_SYS_ADMIN (kernels 6.1 and 7.0 answer EACCES without it).
absl::Status CheckCapabilities(const HostFacts& facts);

// What is lost for want of the others: "without CAP_LEASE ...", one a capability.
std::vector<std::string> LostCapabilities(const HostFacts& facts);

// The first of all that keeps this host from being captured on; OK where nothing does.
absl::Status CheckHost(const HostFacts& facts);

// A negative errno of libbpf as a Status that names what was tried. Where the kernel refuses for
// want of permission it says what to look for, as CheckHost has found nothing by then.
absl::Status KernelError(int negative_errno, const std::string& what);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_CAPABILITIES_H_
