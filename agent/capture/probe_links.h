// Attaches the probes of one library to its file.
#ifndef TOKENWATCH_AGENT_CAPTURE_PROBE_LINKS_H_
#define TOKENWATCH_AGENT_CAPTURE_PROBE_LINKS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "agent/capture/kernel_programs.h"
#include "agent/capture/probe_sites.h"
#include "agent/capture/unique_fd.h"

namespace tokenwatch {

struct TlsProbe {
  ProbeSite site;
  uint32_t slot = 0;        // in the map of hits; 0: not counted apart
  std::vector<Link> links;  // empty where a link of many serves it
  bool is_refused = false;  // not attached: its returns could not be seen without harm
};

// Whether a function is finished at its return: reads and writes are.
bool HasExit(tw_function function);

// Whether the kernel's return probe is all there is for it.
bool NeedsKernelReturn(const ProbeSite& site);

// All probes by links of many (KernelPrograms::has_uprobe_multi), which are added to `links`, on
// failure perhaps a part of them. `file` may be a path below /proc/self/fd.
absl::Status AttachTogether(KernelPrograms& programs, const std::string& file,
                            absl::Span<const TlsProbe> probes, std::vector<UniqueFd>* links);

// One probe by links of its own, which it keeps; none of them on failure.
absl::Status AttachAlone(KernelPrograms& programs, const std::string& file, TlsProbe* probe);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_PROBE_LINKS_H_
