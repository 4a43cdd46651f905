// What of the file system and of the network the worker may still reach (Landlock, kernels from
// 5.13).
#ifndef TOKENWATCH_AGENT_BROKER_LANDLOCK_H_
#define TOKENWATCH_AGENT_BROKER_LANDLOCK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/capture/unique_fd.h"

namespace tokenwatch {

struct LandlockOptions {
  int writable = -1;  // directory: everything in it, but for special files
  // Files and directories that may be read, with all below; what is not there is left out.
  std::vector<std::string> readable;
  // TCP ports that may be connected to (kernels from 6.7); none may be bound.
  std::vector<uint16_t> ports;
};

// What resolving names and checking certificates reads.
std::vector<std::string> ReadableForNamesAndCertificates();

// A rule set that is made while its paths can still be opened, and comes into force later.
class Landlock {
 public:
  // Unimplemented where the kernel has no Landlock or does not use it.
  static absl::StatusOr<Landlock> Create(const LandlockOptions& options);

  // For this thread and those that it starts. Needs PR_SET_NO_NEW_PRIVS.
  absl::Status Enforce() const;

  int abi() const { return abi_; }  // of the kernel

 private:
  Landlock(UniqueFd rules, int abi) : rules_(std::move(rules)), abi_(abi) {}

  UniqueFd rules_;
  int abi_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_BROKER_LANDLOCK_H_
