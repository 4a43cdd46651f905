// Many user probes in one link (BPF_TRACE_UPROBE_MULTI, kernel 6.6, commit 89ae89f53d20).
//
// By the bare system call: Debian 12's libbpf and kernel headers are older than the link type.
#ifndef TOKENWATCH_AGENT_CAPTURE_UPROBE_MULTI_H_
#define TOKENWATCH_AGENT_CAPTURE_UPROBE_MULTI_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "agent/capture/unique_fd.h"

namespace tokenwatch {

// The expected attach type of programs for such links (linux/bpf.h, enum bpf_attach_type).
inline constexpr int kTraceUprobeMulti = 48;

// Whether this kernel has them, found out by trying.
bool HasUprobeMulti();

// Attaches `program` to each offset of the file `path` with the cookie of the same index, in all
// processes; at the functions' returns with `at_return`. All or none. The link lives as long as the
// descriptor.
absl::StatusOr<UniqueFd> LinkUprobeMulti(int program, const std::string& path,
                                         absl::Span<const uint64_t> offsets,
                                         absl::Span<const uint64_t> cookies, bool at_return);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_UPROBE_MULTI_H_
