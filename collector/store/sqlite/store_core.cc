#include "collector/store/sqlite/store_core.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "agent/common/log.h"
#include "collector/store/sqlite/owner_finder.h"

namespace tokenwatch::sqlite {
namespace {

// A query that could not read says something of the pages that it needed, and a later success of
// another one nothing: so long the store counts as unwell.
constexpr absl::Duration kUnwellAfterQuery = absl::Minutes(1);

}  // namespace

StoreCore::StoreCore(std::unique_ptr<DataDir> directory, std::unique_ptr<Writer> writer,
                     std::vector<Session> sessions, std::function<absl::Time()> now)
    : directory_(std::move(directory)),
      now_(std::move(now)),
      writer_(std::move(writer)),
      last_use_(writer_->last_use()),
      sessions_(std::move(sessions)),
      policy_(std::make_shared<const Policy>()) {
  for (Session& session : sessions_) free_sessions_.push_back(&session);
}

void StoreCore::SetPolicy(std::shared_ptr<const Policy> policy) {
  absl::MutexLock lock(&sessions_mutex_);
  policy_ = std::move(policy);
}

void StoreCore::NoteDamage(const absl::Status& status) {
  if (status.code() != absl::StatusCode::kDataLoss) return;
  absl::MutexLock lock(&health_mutex_);
  if (!damage_.ok()) return;
  damage_ = absl::DataLossError(absl::StrCat(
      directory_->database_path(),
      " is damaged: stop the collector, then restore a backup of it, or to begin anew ",
      HowToBeginAnew(directory_->database_path()), " (", status.message(), ")"));
  Log(LogLevel::kError, std::string(damage_.message()));
}

void StoreCore::NoteRead(const absl::Status& status) {
  NoteDamage(status);
  if (status.code() != absl::StatusCode::kUnavailable) return;
  absl::MutexLock lock(&health_mutex_);
  unread_ = status;
  unread_at_ = now_();
}

absl::Status StoreCore::CheckRead(absl::Time now) {
  absl::MutexLock lock(&health_mutex_);
  if (!damage_.ok()) return damage_;
  return now - unread_at_ < kUnwellAfterQuery ? unread_ : absl::OkStatus();
}

Session* StoreCore::TakeSession() {
  absl::MutexLock lock(&sessions_mutex_);
  sessions_mutex_.Await(absl::Condition(
      +[](std::vector<Session*>* free) { return !free->empty(); }, &free_sessions_));
  Session* const session = free_sessions_.back();
  free_sessions_.pop_back();
  session->dimensions->owners()->SetPolicy(policy_);
  return session;
}

void StoreCore::GiveBack(Session* session) {
  session->dimensions->Trim();
  absl::MutexLock lock(&sessions_mutex_);
  free_sessions_.push_back(session);
}

}  // namespace tokenwatch::sqlite
