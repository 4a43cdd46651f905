#include "collector/store/sqlite/sqlite_store.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "agent/common/log.h"
#include "agent/common/token_id.h"
#include "collector/policy/policy.h"
#include "collector/store/credential_id.h"
#include "collector/store/filter.h"
#include "collector/store/page_token.h"
#include "collector/store/sqlite/data_dir.h"
#include "collector/store/sqlite/database.h"
#include "collector/store/sqlite/owner_finder.h"
#include "collector/store/sqlite/queries.h"
#include "collector/store/sqlite/schema.h"
#include "collector/store/sqlite/tls_coverage.h"
#include "collector/store/sqlite/writer.h"

namespace tokenwatch {
namespace {

using sqlite::Database;
using sqlite::DataDir;
using sqlite::HowToBeginAnew;
using sqlite::Session;
using sqlite::Transaction;
using sqlite::Writer;

// Pages of 4 KiB in the write-ahead log before a commit copies them into the database.
constexpr char kWriterPragmas[] =
    "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 8000; "
    "PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -65536; "
    "PRAGMA temp_store = MEMORY";
constexpr char kReaderPragmas[] = "PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY";

constexpr absl::Duration kDropEvery = absl::Hours(1);
// A commit within this time is proof enough that the store can be written.
constexpr absl::Duration kHealthyAfterCommit = absl::Seconds(5);
// A query that could not read says something of the pages that it needed, and a later success of
// another one nothing: so long the store counts as unwell.
constexpr absl::Duration kUnwellAfterQuery = absl::Minutes(1);

// Totals are kept by token, program and resource, whoever the user was.
absl::Status CheckNoUser(const v1::ListRequest& request) {
  if (request.user().empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "user: chooses among single uses, not totals; ask for uses with it");
}

class SqliteStore final : public Store {
 public:
  SqliteStore(std::unique_ptr<DataDir> directory, std::unique_ptr<Writer> writer,
              std::vector<Session> sessions, std::function<absl::Time()> now)
      : directory_(std::move(directory)),
        now_(std::move(now)),
        writer_(std::move(writer)),
        last_use_(writer_->last_use()),
        sessions_(std::move(sessions)) {
    for (Session& session : sessions_) free_sessions_.push_back(&session);
  }

  absl::Status Commit(absl::Span<const IngestBatch> batches) override {
    const absl::Time now = now_();
    absl::MutexLock lock(&writer_mutex_);
    DropOld(now);
    const absl::Status status = writer_->Commit(batches, absl::ToUnixMicros(now));
    NoteDamage(status);
    last_use_ = writer_->last_use();
    written_at_ = status.ok() ? now : absl::InfinitePast();
    return status;
  }

  void SetPolicy(std::shared_ptr<const Policy> policy) override {
    absl::MutexLock lock(&sessions_mutex_);
    policy_ = std::move(policy);
  }

  absl::StatusOr<std::vector<v1::Owner>> SumOwners(const v1::ListRequest& request) override {
    if (absl::Status status = CheckNoUser(request); !status.ok()) return status;
    const absl::StatusOr<Filter> filter = ParseFilter(request, now_());
    if (!filter.ok()) return filter.status();
    return Read<std::vector<v1::Owner>>(
        [&](Session* session) { return sqlite::SumOwners(session, *filter); });
  }

  absl::StatusOr<uint64_t> CommittedSequence(const std::string& agent,
                                             const std::string& stream) override {
    return Read<uint64_t>([&](Session* session) {
      sqlite::Statement& query = session->database->Cached(
          "SELECT committed FROM streams JOIN agents ON agents.id = streams.agent WHERE "
          "agents.agent = ? AND streams.stream = ?");
      query.Start(agent, sqlite::Blob{stream});
      return query.Next() ? static_cast<uint64_t>(query.Int(0)) : 0;
    });
  }

  absl::Status RecordAgent(const AgentInfo& info) override {
    absl::MutexLock lock(&writer_mutex_);
    const absl::Status status = writer_->RecordAgent(info, absl::ToUnixMicros(now_()));
    NoteDamage(status);
    return status;
  }

  absl::StatusOr<v1::ListUsesResponse> ListUses(const v1::ListRequest& request) override {
    return List<v1::ListUsesResponse>(
        ListKind::kUses, request,
        [this](Session* session, const Filter& filter, const PagePosition* page) {
          return sqlite::ListUses(session, filter, page, last_use_);
        });
  }

  absl::StatusOr<v1::ListTokensResponse> ListTokens(const v1::ListRequest& request) override {
    if (absl::Status status = CheckNoUser(request); !status.ok()) return status;
    return List<v1::ListTokensResponse>(
        ListKind::kTokens, request,
        [this](Session* session, const Filter& filter, const PagePosition* page) {
          return sqlite::ListTokens(session, filter, page, last_use_);
        });
  }

  absl::StatusOr<v1::TokenDetail> GetToken(const std::string& token_id) override {
    v1::ListRequest request;
    request.set_token(token_id);
    const absl::StatusOr<Filter> filter = ParseFilter(request, now_());
    if (!filter.ok()) return filter.status();
    if (!filter->token.has_value() && !filter->credential.has_value()) {
      return absl::InvalidArgumentError(
          "token: none is given; for example tok_35602yf42tr1pnyk1wrynxw9gd");
    }
    absl::StatusOr<std::optional<v1::TokenDetail>> detail = Read<std::optional<v1::TokenDetail>>(
        [&](Session* session) { return sqlite::GetToken(session, *filter); });
    if (!detail.ok()) return detail.status();
    if (!detail->has_value()) {
      return absl::NotFoundError(absl::StrCat(
          "no use of ",
          filter->token ? TokenIdText(*filter->token) : CredentialIdText(*filter->credential),
          " has been seen"));
    }
    return **std::move(detail);
  }

  absl::StatusOr<v1::Stats> GetStats(const v1::ListRequest& request) override {
    if (absl::Status status = CheckNoUser(request); !status.ok()) return status;
    const absl::StatusOr<Filter> filter = ParseFilter(request, now_());
    if (!filter.ok()) return filter.status();
    return Read<v1::Stats>([&](Session* session) { return sqlite::GetStats(session, *filter); });
  }

  absl::StatusOr<v1::ListAgentsResponse> ListAgents(const v1::ListRequest& request) override {
    for (const auto& [name, value] :
         {std::pair<const char*, const std::string*>{"token", &request.token()},
          {"provider", &request.provider()},
          {"workload", &request.workload()},
          {"endpoint", &request.endpoint()},
          {"status", &request.status()},
          {"trait", &request.trait()},
          {"user", &request.user()},
          {"owner", &request.owner()}}) {
      if (!value->empty()) {
        return absl::InvalidArgumentError(absl::StrCat(
            name, ": does not choose among agents; for example since=1h or host=web-1 does"));
      }
    }
    return List<v1::ListAgentsResponse>(
        ListKind::kAgents, request,
        [](Session* session, const Filter& filter, const PagePosition* page) {
          return sqlite::ListAgents(session, filter, page);
        });
  }

  absl::StatusOr<FleetState> Fleet(int64_t since_us, size_t limit) override {
    return Read<FleetState>(
        [&](Session* session) { return sqlite::ReadFleet(session, since_us, limit); });
  }

  absl::StatusOr<StoreSpace> Space() override { return directory_->Space(); }

  absl::StatusOr<std::vector<TlsTotal>> TlsTotals() override {
    return Read<std::vector<TlsTotal>>([](Session* session) {
      return sqlite::ReadTlsTotals(session->database.get(), session->dimensions.get());
    });
  }

  absl::StatusOr<std::vector<v1::Use>> UsesAfter(const v1::ListRequest& request,
                                                 std::string* cursor, uint32_t limit) override {
    const absl::StatusOr<Filter> filter = ParseFilter(request, now_());
    if (!filter.ok()) return filter.status();
    const int64_t last_use = last_use_;
    int64_t number = last_use;
    if (!cursor->empty() && (!absl::SimpleAtoi(*cursor, &number) || number < 0)) {
      return absl::InvalidArgumentError("cursor: was not made here; leave it empty to start now");
    }
    std::vector<v1::Use> uses;
    // The usual answer to a poll, without a look at the database.
    if (number < last_use && limit > 0) {
      absl::StatusOr<std::vector<v1::Use>> read = Read<std::vector<v1::Use>>([&](Session* session) {
        sqlite::Selection selection(*filter, session->database.get(), session->dimensions.get());
        return sqlite::BuildUses(
            session, sqlite::UsesAfterNumber(session->database.get(), &selection, limit, &number));
      });
      if (!read.ok()) return read.status();
      uses = *std::move(read);
    }
    *cursor = absl::StrCat(number);
    return uses;
  }

  absl::Status CheckHealth() override {
    if (absl::Status status = directory_->CheckPresent(); !status.ok()) return status;
    const absl::Time now = now_();
    if (absl::Status status = CheckRead(now); !status.ok()) return status;
    absl::MutexLock lock(&writer_mutex_);
    if (now - written_at_ < kHealthyAfterCommit) return absl::OkStatus();
    const absl::Status status = writer_->Probe(absl::ToUnixMicros(now));
    written_at_ = status.ok() ? now : absl::InfinitePast();
    NoteDamage(status);
    return status.code() == absl::StatusCode::kDataLoss ? CheckRead(now) : status;
  }

 private:
  // Retention is no reason to refuse a commit.
  void DropOld(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(writer_mutex_) {
    if (now - dropped_at_ < kDropEvery) return;
    dropped_at_ = now;
    if (const absl::Status status = writer_->DropOld(absl::ToUnixMicros(now)); !status.ok()) {
      Log(LogLevel::kWarning,
          "old uses could not be dropped, next try in an hour: ", status.message());
    }
  }

  // Damage does not go away: it is kept until the collector is started again.
  void NoteDamage(const absl::Status& status) {
    if (status.code() != absl::StatusCode::kDataLoss) return;
    absl::MutexLock lock(&health_mutex_);
    if (!damage_.ok()) return;
    damage_ = absl::DataLossError(absl::StrCat(
        directory_->database_path(),
        " is damaged: stop the collector, then restore a backup of it, or to begin anew ",
        HowToBeginAnew(directory_->database_path()), " (", status.message(), ")"));
    Log(LogLevel::kError, std::string(damage_.message()));
  }

  void NoteRead(const absl::Status& status) {
    NoteDamage(status);
    if (status.code() != absl::StatusCode::kUnavailable) return;
    absl::MutexLock lock(&health_mutex_);
    unread_ = status;
    unread_at_ = now_();
  }

  // What queries and commits met.
  absl::Status CheckRead(absl::Time now) {
    absl::MutexLock lock(&health_mutex_);
    if (!damage_.ok()) return damage_;
    return now - unread_at_ < kUnwellAfterQuery ? unread_ : absl::OkStatus();
  }

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
    session->dimensions->Trim();
    absl::MutexLock lock(&sessions_mutex_);
    free_sessions_.push_back(session);
    return answer;
  }

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

  Session* TakeSession() {
    absl::MutexLock lock(&sessions_mutex_);
    sessions_mutex_.Await(absl::Condition(
        +[](std::vector<Session*>* free) { return !free->empty(); }, &free_sessions_));
    Session* const session = free_sessions_.back();
    free_sessions_.pop_back();
    session->dimensions->owners()->SetPolicy(policy_);
    return session;
  }

  const std::unique_ptr<DataDir> directory_;
  const std::function<absl::Time()> now_;

  absl::Mutex writer_mutex_;
  const std::unique_ptr<Writer> writer_ ABSL_PT_GUARDED_BY(writer_mutex_);
  absl::Time written_at_ ABSL_GUARDED_BY(writer_mutex_) = absl::InfinitePast();
  absl::Time dropped_at_ ABSL_GUARDED_BY(writer_mutex_) = absl::InfinitePast();
  std::atomic<int64_t> last_use_;

  absl::Mutex health_mutex_;
  absl::Status damage_ ABSL_GUARDED_BY(health_mutex_);
  absl::Status unread_ ABSL_GUARDED_BY(health_mutex_);  // of the last query that could not read
  absl::Time unread_at_ ABSL_GUARDED_BY(health_mutex_) = absl::InfinitePast();

  std::vector<Session> sessions_;
  absl::Mutex sessions_mutex_;
  std::vector<Session*> free_sessions_ ABSL_GUARDED_BY(sessions_mutex_);
  std::shared_ptr<const Policy> policy_ ABSL_GUARDED_BY(sessions_mutex_) =
      std::make_shared<const Policy>();
};

absl::StatusOr<std::unique_ptr<Database>> OpenWriter(const std::string& path) {
  absl::StatusOr<std::unique_ptr<Database>> database =
      Database::Open(path, Database::Mode::kReadWrite);
  if (!database.ok()) return database;
  (*database)->Execute("PRAGMA journal_mode = WAL");
  (*database)->Execute(kWriterPragmas);
  if (absl::Status status = (*database)->TakeStatus(); !status.ok()) {
    return status.code() == absl::StatusCode::kDataLoss
               ? absl::DataLossError(absl::StrCat(
                     path,
                     " is no SQLite database, or damaged; restore a backup, or to begin anew ",
                     HowToBeginAnew(path)))
               : status;
  }
  if (absl::Status status = sqlite::PrepareSchema(database->get(), path); !status.ok()) {
    return status;
  }
  return database;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const SqliteOptions& options) {
  absl::StatusOr<std::unique_ptr<DataDir>> directory = DataDir::Open(options.data_dir);
  if (!directory.ok()) return directory.status();
  const std::string& path = (*directory)->database_path();
  absl::StatusOr<std::unique_ptr<Database>> database = OpenWriter(path);
  if (!database.ok()) return database.status();
  absl::StatusOr<std::unique_ptr<Writer>> writer =
      Writer::Create(*std::move(database), options.retention_days);
  if (!writer.ok()) return writer.status();
  std::vector<Session> sessions(static_cast<size_t>(std::max(options.readers, 1)));
  for (Session& session : sessions) {
    absl::StatusOr<std::unique_ptr<Database>> reader =
        Database::Open(path, Database::Mode::kReadOnly);
    if (!reader.ok()) return reader.status();
    session.database = *std::move(reader);
    session.database->Execute(kReaderPragmas);
    if (absl::Status status = session.database->TakeStatus(); !status.ok()) return status;
    session.dimensions = std::make_unique<sqlite::Dimensions>(session.database.get());
  }
  if (absl::Status status = (*directory)->NoteMade(); !status.ok()) return status;
  return std::make_unique<SqliteStore>(*std::move(directory), *std::move(writer),
                                       std::move(sessions), options.now);
}

}  // namespace tokenwatch
