#include "agent/capture/ring_reader.h"

#include <bpf/libbpf.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "agent/capture/capabilities.h"

namespace tokenwatch {
namespace {

constexpr int kIdlePolls = 20;            // empty polls before the reader sleeps: 200 ms
constexpr uint32_t kWipeRun = 64 * 4096;  // bytes that one run of tw_wipe clears
constexpr size_t kControlBytes = 4096;

size_t PageBytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

// The position at the beginning of one of the ring's two leading pages, which the kernel writes.
uint64_t PositionAt(void* page) {
  return std::atomic_ref(*static_cast<unsigned long*>(page)).load(std::memory_order_acquire);
}

uint64_t MonotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);  // cannot fail for this clock
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

absl::StatusOr<std::unique_ptr<RingReader>> RingReader::Create(const RingMaps& maps,
                                                               std::function<bool()> wipe) {
  auto reader = std::unique_ptr<RingReader>(new RingReader(maps.bytes, std::move(wipe)));
  const auto on_record = [](void* self, void* data, size_t size) {
    return static_cast<RingReader*>(self)->OnRecord(data, size);
  };
  reader->ring_ = ring_buffer__new(maps.segments, on_record, reader.get(), nullptr);
  if (reader->ring_ == nullptr) return KernelError(-errno, "opening the ring buffer");
  void* control = mmap(nullptr, kControlBytes, PROT_READ | PROT_WRITE, MAP_SHARED, maps.control, 0);
  if (control == MAP_FAILED) return KernelError(-errno, "mapping the control map");
  reader->control_ = control;
  void* positions = mmap(nullptr, 2 * PageBytes(), PROT_READ, MAP_SHARED, maps.segments, 0);
  if (positions == MAP_FAILED) return KernelError(-errno, "mapping the ring buffer's positions");
  reader->positions_ = positions;
  reader->sleeping_ = static_cast<uint32_t*>(control);
  return reader;
}

absl::Status RingReader::WakeOn(int fd) {
  epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
  if (epoll_ctl(ring_buffer__epoll_fd(ring_), EPOLL_CTL_ADD, fd, &event) == 0) {
    return absl::OkStatus();
  }
  return KernelError(-errno, "waiting for a descriptor beside the ring buffer");
}

RingReader::~RingReader() {
  ring_buffer__free(ring_);
  if (control_ != nullptr) munmap(control_, kControlBytes);
  if (positions_ != nullptr) munmap(positions_, 2 * PageBytes());
}

int RingReader::OnRecord(void* data, size_t size) {
  const absl::StatusOr<Segment> segment =
      ParseSegment(absl::MakeConstSpan(static_cast<const uint8_t*>(data), size));
  if (segment.ok()) {
    ++delivered_;
    (*handler_)(*segment);
  } else {
    ++malformed_;
  }
  return 0;
}

int RingReader::Drain(SegmentHandler handler) {
  handler_ = &handler;
  delivered_ = 0;
  const uint64_t begin_ns = MonotonicNs();
  const uint64_t produced = PositionAt(static_cast<char*>(positions_) + PageBytes());
  ring_buffer__consume(ring_);
  handler_ = nullptr;
  // A program that was preempted between reserving and submitting holds up what lies behind it.
  if (PositionAt(positions_) >= produced) delivered_until_ns_ = begin_ns;
  if (delivered_ != 0) dirty_ = true;
  return delivered_;
}

void RingReader::SetSleeping(bool sleeping) {
  std::atomic_ref(*sleeping_).store(sleeping ? 1 : 0, std::memory_order_seq_cst);
}

absl::StatusOr<int> RingReader::Poll(int timeout_ms, SegmentHandler handler) {
  int wait = kDrainMs;
  if (idle_polls_ >= kIdlePolls) {
    SetSleeping(true);
    // What came before the programs could see the flag woke nobody.
    if (const int count = Drain(handler); count != 0) {
      SetSleeping(false);
      idle_polls_ = 0;
      return count;
    }
    wait = timeout_ms;
  }
  epoll_event event;
  const int ready = epoll_wait(ring_buffer__epoll_fd(ring_), &event, 1, std::min(wait, timeout_ms));
  if (ready < 0 && errno != EINTR) return KernelError(-errno, "waiting for the ring buffer");
  ++wakeups_;
  SetSleeping(false);
  const int count = Drain(handler);
  idle_polls_ = count == 0 ? std::min(idle_polls_ + 1, kIdlePolls) : 0;
  return count;
}

void RingReader::WipeIfIdle(SegmentHandler handler) {
  if (!dirty_ || idle_polls_ < kIdlePolls) return;
  for (uint32_t wiped = 0; wiped < ring_bytes_; wiped += kWipeRun) {
    if (!wipe_()) return;
    // Discarded records are skipped. A real one means that the ring is idle no longer.
    if (Drain(handler) != 0) return;
  }
  dirty_ = false;
  ++wipes_;
}

void RingReader::AddCounters(Counters* counters) const {
  (*counters)["segments_malformed_lost"] = malformed_;
  (*counters)["ring_polls"] = wakeups_;
  (*counters)["ring_wipes"] = wipes_;
}

}  // namespace tokenwatch
