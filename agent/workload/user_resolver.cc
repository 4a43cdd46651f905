#include "agent/workload/user_resolver.h"

#include <utility>

namespace tokenwatch {

UserResolver::UserResolver(UserDatabase* database, const Clock* clock)
    : database_(database), clock_(clock), thread_([this] { Run(); }) {}

UserResolver::~UserResolver() {
  {
    const absl::MutexLock lock(&mutex_);
    is_over_ = true;
  }
  thread_.join();
}

UserLookup::Answer UserResolver::Find(uint32_t uid) {
  const auto fresh_ns = static_cast<uint64_t>(absl::ToInt64Nanoseconds(kFresh));
  const absl::MutexLock lock(&mutex_);
  auto at = kept_.find(uid);
  if (at != kept_.end()) {
    const Kept& kept = at->second;
    const bool is_fresh = kept.is_known && clock_->MonotonicNs() - kept.asked_ns < fresh_ns;
    if (is_fresh || kept.is_queued) return {!kept.is_known, kept.name};
  }
  if (queue_.size() >= kMaxQueued) {
    return {false, at == kept_.end() ? std::nullopt : at->second.name};
  }
  if (at == kept_.end()) {
    if (kept_.size() >= kMaxKept) {
      absl::erase_if(kept_, [](const auto& each) { return !each.second.is_queued; });
    }
    at = kept_.try_emplace(uid).first;
  }
  at->second.is_queued = true;
  queue_.push_back(uid);
  return {!at->second.is_known, at->second.name};
}

void UserResolver::Run() {
  while (true) {
    uint32_t uid = 0;
    {
      const absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &UserResolver::HasWork));
      if (is_over_) return;
      uid = queue_.front();
      queue_.pop_front();
    }
    std::optional<std::string> name = database_->Name(uid);
    const absl::MutexLock lock(&mutex_);
    kept_[uid] = {std::move(name), clock_->MonotonicNs(), true, false};
  }
}

}  // namespace tokenwatch
