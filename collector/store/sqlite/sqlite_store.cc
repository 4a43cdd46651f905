#include "collector/store/sqlite/sqlite_store.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "agent/common/log.h"
#include "agent/common/token_id.h"
#include "collector/policy/policy.h"
#include "collector/store/credential_id.h"
#include "collector/store/filter.h"
#include "collector/store/page_token.h"
#include "collector/store/sqlite/data_dir.h"
#include "collector/store/sqlite/database.h"
#include "collector/store/sqlite/dropped_uses.h"
#include "collector/store/sqlite/queries.h"
#include "collector/store/sqlite/schema.h"
#include "collector/store/sqlite/sqlite_detection.h"
#include "collector/store/sqlite/store_core.h"
#include "collector/store/sqlite/tls_coverage.h"
#include "collector/store/sqlite/writer.h"
#include "collector/store/token_state.h"

namespace tokenwatch {
namespace {

using sqlite::Database;
using sqlite::DataDir;
using sqlite::HowToBeginAnew;
using sqlite::Session;
using sqlite::StoreCore;
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

absl::Status CheckUseFilters(const v1::ListRequest& request) {
  return RefuseFilters(request, {"rule", "severity", "state"}, "uses",
                       "since=1h or status=denied does");
}

// Totals are kept by token, program and resource, whoever the user was.
absl::Status CheckTotalFilters(const v1::ListRequest& request) {
  if (!request.user().empty()) {
    return absl::InvalidArgumentError(
        "user: chooses among single uses, not totals; ask for uses with it");
  }
  return CheckUseFilters(request);
}

absl::Status CheckTokenFilters(const v1::ListRequest& request) {
  v1::ListRequest rest = request;
  rest.clear_state();
  if (absl::Status status = CheckTotalFilters(rest); !status.ok()) return status;
  if (request.state().empty() || IsTokenState(request.state())) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("state: \"", absl::Utf8SafeCEscape(request.state().substr(0, 100)),
                   "\" is no state of a token; for example ", absl::StrJoin(kTokenStates, ", ")));
}

class SqliteStore final : public Store {
 public:
  SqliteStore(std::unique_ptr<DataDir> directory, std::unique_ptr<Writer> writer,
              std::vector<Session> sessions, std::function<absl::Time()> now)
      : core_(std::move(directory), std::move(writer), std::move(sessions), std::move(now)) {}

  absl::Status Commit(absl::Span<const IngestBatch> batches) override {
    const absl::Time now = core_.Now();
    absl::MutexLock lock(&core_.writer_mutex());
    DropOld(now);
    sqlite::Observation observation;
    const absl::Status status = core_.writer().Commit(
        batches, absl::ToUnixMicros(now), observer_ == nullptr ? nullptr : &observation);
    core_.NoteDamage(status);
    if (status.ok()) core_.NoteLastUse();
    written_at_ = status.ok() ? now : absl::InfinitePast();
    if (status.ok() && (!observation.uses.empty() || !observation.facts.empty())) {
      observer_->OnCommitted(std::move(observation.uses), std::move(observation.facts));
    }
    return status;
  }

  void Observe(CommitObserver* observer) override {
    absl::MutexLock lock(&core_.writer_mutex());
    observer_ = observer;
  }

  DetectionStore* detection() override { return &detection_; }

  void SetPolicy(const std::shared_ptr<const Policy>& policy) override { core_.SetPolicy(policy); }

  absl::StatusOr<std::vector<v1::Owner>> SumOwners(const v1::ListRequest& request) override {
    if (absl::Status status = CheckTotalFilters(request); !status.ok()) return status;
    const absl::StatusOr<Filter> filter = ParseFilter(request, core_.Now());
    if (!filter.ok()) return filter.status();
    return core_.Read<std::vector<v1::Owner>>(
        [&](Session* session) { return sqlite::SumOwners(session, *filter); });
  }

  absl::StatusOr<uint64_t> CommittedSequence(const std::string& agent,
                                             const std::string& stream) override {
    return core_.Read<uint64_t>([&](Session* session) {
      sqlite::Statement& query = session->database->Cached(
          "SELECT committed FROM streams JOIN agents ON agents.id = streams.agent WHERE "
          "agents.agent = ? AND streams.stream = ?");
      query.Start(agent, sqlite::Blob{stream});
      return query.Next() ? static_cast<uint64_t>(query.Int(0)) : 0;
    });
  }

  absl::Status RecordAgent(const AgentInfo& info) override {
    absl::MutexLock lock(&core_.writer_mutex());
    const absl::Status status = core_.writer().RecordAgent(info, core_.NowMicros());
    core_.NoteDamage(status);
    return status;
  }

  absl::StatusOr<v1::ListUsesResponse> ListUses(const v1::ListRequest& request) override {
    if (absl::Status status = CheckUseFilters(request); !status.ok()) return status;
    return core_.List<v1::ListUsesResponse>(
        ListKind::kUses, request,
        [this](Session* session, const Filter& filter, const PagePosition* page) {
          return sqlite::ListUses(session, filter, page, core_.last_use());
        });
  }

  absl::StatusOr<v1::ListTokensResponse> ListTokens(const v1::ListRequest& request) override {
    if (absl::Status status = CheckTokenFilters(request); !status.ok()) return status;
    return core_.List<v1::ListTokensResponse>(
        ListKind::kTokens, request,
        [this](Session* session, const Filter& filter, const PagePosition* page) {
          return sqlite::ListTokens(session, filter, page, core_.last_use());
        });
  }

  absl::StatusOr<v1::TokenDetail> GetToken(const std::string& token_id) override {
    v1::ListRequest request;
    request.set_token(token_id);
    const absl::StatusOr<Filter> filter = ParseFilter(request, core_.Now());
    if (!filter.ok()) return filter.status();
    if (!filter->token.has_value() && !filter->credential.has_value()) {
      return absl::InvalidArgumentError(
          "token: none is given; for example tok_35602yf42tr1pnyk1wrynxw9gd");
    }
    absl::StatusOr<std::optional<v1::TokenDetail>> detail =
        core_.Read<std::optional<v1::TokenDetail>>(
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
    if (absl::Status status = CheckTotalFilters(request); !status.ok()) return status;
    const absl::StatusOr<Filter> filter = ParseFilter(request, core_.Now());
    if (!filter.ok()) return filter.status();
    return core_.Read<v1::Stats>(
        [&](Session* session) { return sqlite::GetStats(session, *filter); });
  }

  absl::StatusOr<v1::ListAgentsResponse> ListAgents(const v1::ListRequest& request) override {
    if (absl::Status status = RefuseFilters(request,
                                            {"token", "provider", "workload", "endpoint", "status",
                                             "trait", "user", "owner", "rule", "severity", "state"},
                                            "agents", "since=1h or host=web-1 does");
        !status.ok()) {
      return status;
    }
    return core_.List<v1::ListAgentsResponse>(
        ListKind::kAgents, request,
        [](Session* session, const Filter& filter, const PagePosition* page) {
          return sqlite::ListAgents(session, filter, page);
        });
  }

  absl::StatusOr<FleetState> Fleet(int64_t since_us, size_t limit) override {
    return core_.Read<FleetState>(
        [&](Session* session) { return sqlite::ReadFleet(session, since_us, limit); });
  }

  absl::StatusOr<StoreSpace> Space() override { return core_.directory().Space(); }

  absl::StatusOr<std::vector<TlsTotal>> TlsTotals() override {
    return core_.Read<std::vector<TlsTotal>>([](Session* session) {
      return sqlite::ReadTlsTotals(session->database.get(), session->dimensions.get());
    });
  }

  absl::StatusOr<std::vector<v1::Use>> UsesAfter(const v1::ListRequest& request,
                                                 std::string* cursor, uint32_t limit) override {
    if (absl::Status status = CheckUseFilters(request); !status.ok()) return status;
    const absl::StatusOr<Filter> filter = ParseFilter(request, core_.Now());
    if (!filter.ok()) return filter.status();
    const int64_t last_use = core_.last_use();
    int64_t number = last_use;
    if (!cursor->empty() && (!absl::SimpleAtoi(*cursor, &number) || number < 0)) {
      return absl::InvalidArgumentError("cursor: was not made here; leave it empty to start now");
    }
    if (number > last_use) {
      return absl::InvalidArgumentError(absl::StrCat(
          "cursor: ", number, " lies beyond the newest use, ", last_use,
          ", as in a store that was begun anew or restored; leave it empty to start now"));
    }
    std::vector<v1::Use> uses;
    // The usual answer to a poll, without a look at the database.
    if (number < last_use && limit > 0) {
      absl::StatusOr<std::vector<v1::Use>> read =
          core_.Read<std::vector<v1::Use>>([&](Session* session) {
            sqlite::Selection selection(*filter, session->database.get(),
                                        session->dimensions.get());
            // A commit is seen in the database before it is in last_use(), and the next question
            // may come in between.
            return sqlite::BuildUses(
                session, sqlite::UsesAfterNumber(session->database.get(), &selection, limit,
                                                 last_use, &number));
          });
      if (!read.ok()) return read.status();
      uses = *std::move(read);
    }
    *cursor = absl::StrCat(number);
    return uses;
  }

  absl::StatusOr<uint64_t> DroppedBetween(const std::string& from, const std::string& to) override {
    int64_t first = 0, last = 0;
    if (!absl::SimpleAtoi(from, &first) || !absl::SimpleAtoi(to, &last)) {
      return absl::InvalidArgumentError("cursor: was not made here");
    }
    return core_.Read<uint64_t>([&](Session* session) {
      return sqlite::DroppedBetween(session->database.get(), first, last);
    });
  }

  absl::Status CheckHealth() override {
    if (absl::Status status = core_.directory().CheckPresent(); !status.ok()) return status;
    const absl::Time now = core_.Now();
    if (absl::Status status = core_.CheckRead(now); !status.ok()) return status;
    absl::MutexLock lock(&core_.writer_mutex());
    if (now - written_at_ < kHealthyAfterCommit) return absl::OkStatus();
    const absl::Status status = core_.writer().Probe(absl::ToUnixMicros(now));
    written_at_ = status.ok() ? now : absl::InfinitePast();
    core_.NoteDamage(status);
    return status.code() == absl::StatusCode::kDataLoss ? core_.CheckRead(now) : status;
  }

 private:
  // Retention is no reason to refuse a commit.
  void DropOld(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_.writer_mutex()) {
    // Of a clock that was set back, too.
    if (absl::AbsDuration(now - dropped_at_) < kDropEvery) return;
    dropped_at_ = now;
    if (const absl::Status status = core_.writer().DropOld(absl::ToUnixMicros(now)); !status.ok()) {
      Log(LogLevel::kWarning,
          "old uses could not be dropped, next try in an hour: ", status.message());
    }
    if (const int64_t step_us = core_.writer().ClockStepMicros(); step_us != 0) {
      Log(LogLevel::kWarning, "the clock of this machine was set ", step_us > 0 ? "ahead" : "back",
          " by ", absl::FormatDuration(absl::AbsDuration(absl::Hours(step_us / 3'600'000'000))),
          ", or the collector was away as long: what is old is dropped by the time before until "
          "the clock has stayed so for a day; see that it is right");
    }
  }

  StoreCore core_;
  sqlite::SqliteDetection detection_{&core_};
  CommitObserver* observer_ ABSL_GUARDED_BY(core_.writer_mutex()) = nullptr;
  absl::Time written_at_ ABSL_GUARDED_BY(core_.writer_mutex()) = absl::InfinitePast();
  absl::Time dropped_at_ ABSL_GUARDED_BY(core_.writer_mutex()) = absl::InfinitePast();
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
      Writer::Create(*std::move(database), options.retention_days, options.monotonic);
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
