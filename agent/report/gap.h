// Something known to be unseen, as rooms hand it to the reporter.
#ifndef TOKENWATCH_AGENT_REPORT_GAP_H_
#define TOKENWATCH_AGENT_REPORT_GAP_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace tokenwatch {

struct Gap {
  std::string kind;    // counter's name, e.g. "ring_full"
  std::string detail;  // library, probe or file concerned
  uint64_t count = 1;  // of what the kind names; 1 where only the time is known
  absl::Time since;
  absl::Time until;
  uint32_t pid = 0;  // 0 where no process is known
  std::string comm;
  std::string exe;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_GAP_H_
