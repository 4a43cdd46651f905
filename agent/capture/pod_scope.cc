#include "agent/capture/pod_scope.h"

#include <bpf/bpf.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "agent/capture/capabilities.h"

namespace tokenwatch {

bool PodScope::MapSink::Add(uint64_t cgroup_id) {
  const uint8_t one = 1;
  return bpf_map_update_elem(map_, &cgroup_id, &one, BPF_ANY) == 0;
}

void PodScope::MapSink::Remove(uint64_t cgroup_id) { bpf_map_delete_elem(map_, &cgroup_id); }

absl::StatusOr<std::unique_ptr<PodScope>> PodScope::Start(PodCgroups::Options options, int map) {
  auto scope = std::unique_ptr<PodScope>(new PodScope(map));
  absl::StatusOr<std::unique_ptr<PodCgroups>> cgroups =
      PodCgroups::Create(std::move(options), &scope->sink_);
  if (!cgroups.ok()) return cgroups.status();
  scope->cgroups_ = *std::move(cgroups);
  scope->stop_ = UniqueFd(eventfd(0, EFD_CLOEXEC));
  if (!scope->stop_.valid()) return KernelError(-errno, "watching the pods of --scope-namespace");
  scope->thread_ = std::thread([s = scope.get()] { s->Run(); });
  return scope;
}

PodScope::~PodScope() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(stop_.get(), &one, sizeof(one));
  thread_.join();
}

void PodScope::Run() {
  while (true) {
    pollfd waits[] = {{cgroups_->fd(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    if (poll(waits, 2, -1) < 0 && errno != EINTR) return;
    if ((waits[1].revents & POLLIN) != 0) return;
    cgroups_->ProcessEvents();
  }
}

void PodScope::AddCounters(Counters* counters) const {
  const PodStatus status = Status();
  (*counters)["scope_pods_full_unseen"] = status.full;
  (*counters)["scope_cgroups_unwatched_unseen"] = status.unwatched;
}

}  // namespace tokenwatch
