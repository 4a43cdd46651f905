#include "agent/broker/remote_containers.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/broker/messages.h"
#include "agent/broker/wire.h"
#include "agent/capture/pod_names.h"
#include "agent/workload/cgroup.h"

namespace tokenwatch {
namespace {

uint64_t Ns(absl::Duration duration) {
  return static_cast<uint64_t>(absl::ToInt64Nanoseconds(duration));
}

ContainerLookup::State StateOf(uint64_t state) {
  using State = ContainerLookup::State;
  for (const State known : {State::kKnown, State::kPending}) {
    if (state == static_cast<uint64_t>(known)) return known;
  }
  return State::kUnknown;
}

}  // namespace

ContainerLookup::Answer RemoteContainers::Find(const ContainerKey& key) {
  if (key.empty() || (!key.id.empty() && !IsContainerId(key.id)) ||
      (!key.pod_uid.empty() && !IsPodUid(key.pod_uid))) {
    return {};
  }
  const std::string name = absl::StrCat(key.id, "/", key.pod_uid);
  const absl::MutexLock lock(&mutex_);
  const uint64_t now = clock_->MonotonicNs();
  if (const auto at = kept_.find(name); at != kept_.end()) {
    if (at->second.answer.state == State::kKnown || now < at->second.until_ns) {
      return at->second.answer;
    }
  }
  const Channel::Message message = urgent_->Call({.kind = RequestKind::kContainer, .text = name});
  ContainerMessage told;
  WireReader reader(message.bytes.view());
  reader(told);
  if (!reader.IsDone()) told = {};
  if (kept_.size() >= kMaxKept && !kept_.contains(name)) kept_.clear();
  Kept& kept = kept_[name];
  kept.answer.state = StateOf(told.state);
  kept.until_ns = now + Ns(kept.answer.state == State::kPending ? kPendingFor : kUnknownFor);
  // One pointer for one identity, by which its readers tell what is news.
  if (told.identity.has_value() &&
      (kept.answer.identity == nullptr || !(*kept.answer.identity == *told.identity))) {
    kept.answer.identity = std::make_shared<const ContainerIdentity>(*std::move(told.identity));
  }
  if (kept.answer.state == State::kKnown && kept.answer.identity == nullptr) {
    kept.answer.identity = std::make_shared<const ContainerIdentity>();
  }
  return kept.answer;
}

ContainerStatus RemoteContainers::Status() {
  const Channel::Message message = other_->Call({.kind = RequestKind::kContainerStatus});
  ContainerStatus status;
  WireReader reader(message.bytes.view());
  reader(status);
  return reader.IsDone() ? status : ContainerStatus();
}

}  // namespace tokenwatch
