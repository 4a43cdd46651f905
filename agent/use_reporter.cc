#include "agent/use_reporter.h"

#include <algorithm>
#include <utility>

namespace tokenwatch {

UseReporter::UseReporter(FindWorkload find_workload, const Clock* clock, Emit emit)
    : find_workload_(std::move(find_workload)), clock_(clock), emit_(std::move(emit)) {}

void UseReporter::OnUse(const TokenUse& use) {
  std::shared_ptr<const Workload> workload = find_workload_(use.process, use.pid);
  if (IsNamed(*workload)) return emit_(use, std::move(workload));
  ++waited_;
  if (waiting_.size() >= kMaxWaiting) return LetGo(use, std::move(workload));
  const auto patience = static_cast<uint64_t>(absl::ToInt64Nanoseconds(kPatience));
  waiting_.push_back({use, clock_->MonotonicNs() + patience});
}

void UseReporter::Release() {
  if (waiting_.empty()) return;
  const uint64_t now_ns = clock_->MonotonicNs();
  std::deque<Waiting> still;
  for (Waiting& waiting : waiting_) {
    std::shared_ptr<const Workload> workload = find_workload_(waiting.use.process, waiting.use.pid);
    if (!IsNamed(*workload) && now_ns < waiting.until_ns) {
      still.push_back(std::move(waiting));
      continue;
    }
    LetGo(waiting.use, std::move(workload));
  }
  waiting_ = std::move(still);
}

void UseReporter::Finish() {
  for (Waiting& waiting : std::exchange(waiting_, {})) {
    std::shared_ptr<const Workload> workload = find_workload_(waiting.use.process, waiting.use.pid);
    LetGo(waiting.use, std::move(workload));
  }
}

void UseReporter::LetGo(const TokenUse& use, std::shared_ptr<const Workload> workload) {
  if (workload->naming) ++containers_unnamed_;
  if (workload->naming_users) ++users_unnamed_;
  emit_(use, std::move(workload));
}

absl::Time UseReporter::WaitingSince() const {
  absl::Time since = absl::InfiniteFuture();
  for (const Waiting& waiting : waiting_) since = std::min(since, waiting.use.time);
  return since;
}

void UseReporter::AddCounters(Counters* counters) const {
  (*counters)["uses_waited_for_names"] += waited_;
  (*counters)["container_names_unseen"] += containers_unnamed_;
  (*counters)["user_names_unseen"] += users_unnamed_;
}

}  // namespace tokenwatch
