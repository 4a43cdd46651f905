#include "agent/workload/users.h"

#include <pwd.h>

#include <cerrno>
#include <vector>

namespace tokenwatch {

std::optional<std::string> SystemUserDatabase::Name(uint32_t uid) {
  constexpr size_t kFirstBuffer = 1024;
  constexpr size_t kLargestBuffer = 65536;
  for (size_t size = kFirstBuffer; size <= kLargestBuffer; size *= 4) {
    std::vector<char> buffer(size);
    passwd entry;
    passwd* found = nullptr;
    const int error = getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
    if (error == ERANGE) continue;
    if (error != 0 || found == nullptr) return std::nullopt;
    return found->pw_name;
  }
  return std::nullopt;
}

UserNames::Name UserNames::Of(uint32_t uid) {
  const uint64_t now = clock_->MonotonicNs();
  const auto known = known_.find(uid);
  if (known != known_.end() && now < known->second.until_ns) return known->second.name;
  // Dropped all at once: it is only a cache, and no machine has so many users at work.
  if (known == known_.end() && known_.size() >= kRemembered) known_.clear();
  const UserLookup::Answer answer = lookup_->Find(uid);
  const Name name = {answer.name.value_or(std::to_string(uid)), answer.is_pending};
  const absl::Duration valid = answer.is_pending ? kPendingFor : kFresh;
  known_[uid] = {name, now + static_cast<uint64_t>(absl::ToInt64Nanoseconds(valid))};
  return name;
}

}  // namespace tokenwatch
