#include "collector/policy/policy_holder.h"

#include <openssl/sha.h>

#include <array>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_join.h"
#include "agent/common/config_file.h"

namespace tokenwatch {
namespace {

std::string Digest(const std::string& text) {
  std::array<uint8_t, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const uint8_t*>(text.data()), text.size(), digest.data());
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

}  // namespace

PolicyHolder::PolicyHolder(std::string file, const Clock* clock)
    : file_(std::move(file)), clock_(clock) {
  state_.policy = std::make_shared<const Policy>();
  state_.file = file_;
}

bool PolicyHolder::Read() {
  stamp_ = FileStamp::Of(file_);
  std::vector<std::string> problems;
  const absl::StatusOr<std::string> text = ReadConfigFile(file_);
  if (!text.ok()) {
    problems.emplace_back(text.status().message());
  } else if (std::string digest = Digest(*text); state_.loads > 0 && digest == state_.digest) {
    const bool told = !state_.problems.empty();
    state_.problems.clear();
    return told;
  } else if (std::shared_ptr<const Policy> policy = Policy::Parse(*text, file_, &problems)) {
    state_.policy = std::move(policy);
    state_.digest = std::move(digest);
    state_.loaded = clock_->Now();
    state_.problems.clear();
    ++state_.loads;
    ++state_.generation;
    return true;
  }
  ++state_.refusals;
  const bool other = problems != state_.problems;
  state_.problems = std::move(problems);
  return other;
}

absl::Status PolicyHolder::Load() {
  if (file_.empty()) return absl::OkStatus();
  absl::MutexLock lock(&mutex_);
  Read();
  if (state_.problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(state_.problems, "\n"));
}

bool PolicyHolder::Refresh(bool always) {
  if (file_.empty()) return false;
  absl::MutexLock lock(&mutex_);
  if (!always && FileStamp::Of(file_) == stamp_) return false;
  return Read();
}

PolicyState PolicyHolder::Get() const {
  absl::MutexLock lock(&mutex_);
  return state_;
}

}  // namespace tokenwatch
