// What the store and its detection half share: the one writer, the readers, and how they are.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_STORE_CORE_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_STORE_CORE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "collector/policy/policy.h"
#include "collector/store/filter.h"
#include "collector/store/page_token.h"
#include "collector/store/sqlite/data_dir.h"
#include "collector/store/sqlite/queries.h"
#include "collector/store/sqlite/writer.h"

namespace tokenwatch::sqlite {

// Thread safe.
class StoreCore {
 public:
  StoreCore(std::unique_ptr<DataDir> directory, std::unique_ptr<Writer> writer,
            std::vector<Session> sessions, std::function<absl::Time()> now);
  StoreCore(const StoreCore&) = delete;
  StoreCore& operator=(const StoreCore&) = delete;

  DataDir& directory() { return *directory_; }
  absl::Time Now() const { return now_(); }
  int64_t NowMicros() const { return absl::ToUnixMicros(now_()); }

  // As Store::SetPolicy.
  void SetPolicy(std::shared_ptr<const Policy> policy);

  // Held while the writer is used, and while commits are told.
  absl::Mutex& writer_mutex() ABSL_LOCK_RETURNED(writer_mutex_) { return writer_mutex_; }
  Writer& writer() ABSL_EXCLUSIVE_LOCKS_REQUIRED(writer_mutex_) { return *writer_; }
  // After a commit that succeeded.
  void NoteLastUse() ABSL_EXCLUSIVE_LOCKS_REQUIRED(writer_mutex_) {
    last_use_ = writer_->last_use();
  }
  int64_t last_use() const { return last_use_; }

  // Damage does not go away: it is kept until the collector is started again.
  void NoteDamage(const absl::Status& status);
  // What queries and commits met.
  absl::Status CheckRead(absl::Time now);

  // Runs `query` on a free reading connection, in one transaction.
  template <typename Answer, typename Query>
  absl::StatusOr<Answer> Read(const Query& query) {
    Session* const session = TakeSession();
    absl::StatusOr<Answer> answer;
    {
      Transaction transaction(session->database.get(), Transaction::Kind::kRead);
      answer = query(session);
      if (absl::Status status = transaction.Commit(); !status.ok()) {
        NoteRead(status);
        answer = std::move(status);
        session->dimensions->Forget();
      }
    }
    GiveBack(session);
    return answer;
  }

  // A page of a list: `query` gets the session, the filter and where the page begins, null for the
  // first one.
  template <typename Response, typename Query>
  absl::StatusOr<Response> List(ListKind kind, const v1::ListRequest& request, const Query& query) {
    absl::StatusOr<Filter> filter = ParseFilter(request, now_());
    if (!filter.ok()) return filter.status();
    PagePosition position;
    const bool first = request.page_token().empty();
    if (!first) {
      const absl::StatusOr<PagePosition> read =
          ReadPageToken(kind, filter->fingerprint, request.page_token());
      if (!read.ok()) return read.status();
      position = *read;
      // "24h" means the first page's.
      filter->since_us = position.since_us;
      filter->until_us = position.until_us;
    }
    return Read<Response>(
        [&](Session* session) { return query(session, *filter, first ? nullptr : &position); });
  }

 private:
  Session* TakeSession();
  void GiveBack(Session* session);
  void NoteRead(const absl::Status& status);

  const std::unique_ptr<DataDir> directory_;
  const std::function<absl::Time()> now_;

  absl::Mutex writer_mutex_;
  const std::unique_ptr<Writer> writer_ ABSL_PT_GUARDED_BY(writer_mutex_);
  std::atomic<int64_t> last_use_;

  absl::Mutex health_mutex_;
  absl::Status damage_ ABSL_GUARDED_BY(health_mutex_);
  absl::Status unread_ ABSL_GUARDED_BY(health_mutex_);  // of the last query that could not read
  absl::Time unread_at_ ABSL_GUARDED_BY(health_mutex_) = absl::InfinitePast();

  std::vector<Session> sessions_;
  absl::Mutex sessions_mutex_;
  std::vector<Session*> free_sessions_ ABSL_GUARDED_BY(sessions_mutex_);
  std::shared_ptr<const Policy> policy_ ABSL_GUARDED_BY(sessions_mutex_);
};

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_STORE_CORE_H_
