// New executable mappings, as the kernel tells them (PERF_RECORD_MMAP2): no polling, no kprobes.
#ifndef TOKENWATCH_AGENT_CAPTURE_MAPPING_EVENTS_H_
#define TOKENWATCH_AGENT_CAPTURE_MAPPING_EVENTS_H_

#include <poll.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "agent/capture/unique_fd.h"

namespace tokenwatch {

struct Mapping {
  uint32_t pid = 0;
  uint64_t start = 0, end = 0;  // addresses
  uint32_t major = 0, minor = 0;
  uint64_t inode = 0;
  uint64_t generation = 0;
  std::string path;  // as the process sees it
};

// Used on one thread.
class MappingEvents {
 public:
  // Watches every CPU that is online.
  static absl::StatusOr<std::unique_ptr<MappingEvents>> Create();
  ~MappingEvents();

  // Waits up to `timeout_ms`, or until one of `others` is ready, and hands on what came.
  void Poll(int timeout_ms, absl::Span<pollfd> others,
            absl::FunctionRef<void(const Mapping&)> handler);

  // Events that the kernel dropped: a scan has to make up for them.
  uint64_t lost() const { return lost_; }

 private:
  struct Ring {
    UniqueFd fd;
    void* memory = nullptr;
  };
  MappingEvents() = default;
  void Drain(const Ring& ring, absl::FunctionRef<void(const Mapping&)> handler);

  std::vector<Ring> rings_;
  std::vector<pollfd> waits_;
  std::vector<uint8_t> record_;
  uint64_t lost_ = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_MAPPING_EVENTS_H_
