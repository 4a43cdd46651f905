#include "agent/capture/mapping_events.h"

#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "agent/capture/capabilities.h"

namespace tokenwatch {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kDataBytes = 64 * kPage;  // a ring a CPU; a mapping takes some 150 bytes

// The fixed part of PERF_RECORD_MMAP2 (linux/perf_event.h); the file's name follows.
struct Mmap2 {
  perf_event_header header;
  uint32_t pid, tid;
  uint64_t address, length, page_offset;
  uint32_t major, minor;
  uint64_t inode, generation;
  uint32_t protection, flags;
};

struct LostRecord {
  perf_event_header header;
  uint64_t id, lost;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MappingEvents>> MappingEvents::Create() {
  auto events = std::unique_ptr<MappingEvents>(new MappingEvents());
  perf_event_attr attributes = {};
  attributes.size = sizeof(attributes);
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.config = PERF_COUNT_SW_DUMMY;
  attributes.mmap = 1;  // executable mappings only: mmap_data stays 0
  attributes.mmap2 = 1;
  attributes.watermark = 1;
  attributes.wakeup_watermark = 1;
  const long cpus = sysconf(_SC_NPROCESSORS_CONF);
  int error = 0;
  for (int cpu = 0; cpu < cpus; ++cpu) {
    Ring ring;
    ring.fd = UniqueFd(static_cast<int>(
        syscall(SYS_perf_event_open, &attributes, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC)));
    if (!ring.fd.valid()) {
      if (errno != ENODEV) error = errno;  // ENODEV: the CPU is offline
      continue;
    }
    void* memory =
        mmap(nullptr, kPage + kDataBytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd.get(), 0);
    if (memory == MAP_FAILED) {
      error = errno;
      continue;
    }
    ring.memory = memory;
    events->rings_.push_back(std::move(ring));
  }
  if (error != 0 || events->rings_.empty()) {
    return KernelError(-error, "watching for new mappings (perf_event_open)");
  }
  return events;
}

MappingEvents::~MappingEvents() {
  for (const Ring& ring : rings_) munmap(ring.memory, kPage + kDataBytes);
}

void MappingEvents::Poll(int timeout_ms, absl::Span<pollfd> others,
                         absl::FunctionRef<void(const Mapping&)> handler) {
  waits_.assign(others.begin(), others.end());
  for (const Ring& ring : rings_) waits_.push_back({ring.fd.get(), POLLIN, 0});
  if (poll(waits_.data(), waits_.size(), timeout_ms) <= 0) {
    for (pollfd& each : others) each.revents = 0;
    return;
  }
  std::copy_n(waits_.begin(), others.size(), others.begin());
  for (const Ring& ring : rings_) Drain(ring, handler);
}

void MappingEvents::Drain(const Ring& ring, absl::FunctionRef<void(const Mapping&)> handler) {
  auto* page = static_cast<perf_event_mmap_page*>(ring.memory);
  const auto* data = static_cast<const uint8_t*>(ring.memory) + kPage;
  const uint64_t head = std::atomic_ref(page->data_head).load(std::memory_order_acquire);
  uint64_t tail = page->data_tail;
  while (tail < head) {
    perf_event_header header;
    // Records are 8-byte aligned: a header never wraps.
    std::memcpy(&header, data + tail % kDataBytes, sizeof(header));
    if (header.size < sizeof(header) || header.size > head - tail) break;
    record_.resize(header.size);
    for (size_t copied = 0; copied < header.size;) {
      const size_t at = (tail + copied) % kDataBytes;
      const size_t part = std::min(header.size - copied, kDataBytes - at);
      std::memcpy(record_.data() + copied, data + at, part);
      copied += part;
    }
    tail += header.size;
    if (header.type == PERF_RECORD_LOST && header.size >= sizeof(LostRecord)) {
      LostRecord lost;
      std::memcpy(&lost, record_.data(), sizeof(lost));
      lost_ += lost.lost;
    } else if (header.type == PERF_RECORD_MMAP2 && header.size > sizeof(Mmap2)) {
      Mmap2 event;
      std::memcpy(&event, record_.data(), sizeof(event));
      const char* name = reinterpret_cast<const char*>(record_.data() + sizeof(event));
      handler(Mapping{event.pid, event.address, event.address + event.length, event.major,
                      event.minor, event.inode, event.generation,
                      std::string(name, strnlen(name, header.size - sizeof(event)))});
    }
    std::atomic_ref(page->data_tail).store(tail, std::memory_order_release);
  }
}

}  // namespace tokenwatch
